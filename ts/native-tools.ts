/** Checks tool definitions; the addon checks names, sizes and schemas. */
import { describeExactly, describeValue } from './describe-value.js'
import { invalidRequest } from './error.js'
import type { RkllmError } from './error.js'
import { suggestion } from './suggestion.js'
import type { ToolDefinition } from './tool.js'

type Fields = Readonly<Record<string, unknown>>

const TOOL_FIELDS = ['type', 'function']
const FUNCTION_FIELDS = ['name', 'description', 'parameters', 'strict']

/** The tools as they are; an `invalid-request` error names the field at fault. */
export function toNativeTools(tools: readonly ToolDefinition[]): readonly Fields[] {
  // Not `map`, which would skip the holes of a sparse array.
  return Array.from(tools as readonly unknown[], (tool, index) => checkTool(`tools[${index}]`, tool))
}

function checkTool(place: string, value: unknown): Fields {
  const tool = asFields(place, value)
  refuseOthers(place, tool, TOOL_FIELDS)
  if (tool['type'] !== 'function') {
    throw invalid(`${place}.type must be "function", got ${describeExactly(tool['type'])}`)
  }
  const called = asFields(`${place}.function`, tool['function'])
  refuseOthers(`${place}.function`, called, FUNCTION_FIELDS)
  const { name, description, parameters, strict } = called
  if (typeof name !== 'string') {
    throw invalid(`${place}.function.name must be a string, got ${describeValue(name)}`)
  }
  if (description !== undefined && typeof description !== 'string') {
    throw invalid(`${place}.function.description must be a string, got ${describeValue(description)}`)
  }
  if (parameters !== undefined) asFields(`${place}.function.parameters`, parameters)
  if (strict !== undefined && typeof strict !== 'boolean') {
    throw invalid(`${place}.function.strict must be a boolean, got ${describeValue(strict)}`)
  }
  return tool
}

function refuseOthers(place: string, fields: Fields, known: readonly string[]): void {
  const other = Object.keys(fields).find((name) => !known.includes(name))
  if (other === undefined) return
  const meant = suggestion(other, known)
  const hint = meant === undefined ? '' : `; did you mean ${JSON.stringify(meant)}?`
  throw invalid(`${place}.${other} is no field of a tool${hint}`)
}

function asFields(place: string, value: unknown): Fields {
  if (typeof value === 'object' && value !== null && !Array.isArray(value)) return value as Fields
  throw invalid(`${place} must be an object, got ${describeValue(value)}`)
}

function invalid(message: string): RkllmError {
  return invalidRequest(message, { option: 'tools' })
}

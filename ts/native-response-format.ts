/** Checks what an answer must look like; the addon checks schemas. */
import { describeExactly, describeValue } from './describe-value.js'
import { invalidRequest } from './error.js'
import type { RkllmError } from './error.js'
import { toJson } from './json.js'
import type { JsonSchema, ResponseFormat } from './response-format.js'
import { suggestion } from './suggestion.js'

type Fields = Readonly<Record<string, unknown>>

const FORMAT_FIELDS = ['type', 'jsonSchema']
const SCHEMA_FIELDS = ['name', 'description', 'schema', 'strict']

/** The schema that answers of this format fit; none where they are free. */
export function toNativeResponseFormat(format: ResponseFormat): string | undefined {
  const fields = asFields('responseFormat', format)
  refuseOthers('responseFormat', fields, FORMAT_FIELDS)
  const { type, jsonSchema } = fields
  if (type === 'json_schema') return schemaOf(jsonSchema)
  if (type !== 'text' && type !== 'json_object') {
    throw invalid(`responseFormat.type must be 'text', 'json_object' or 'json_schema', got ${describeExactly(type)}`)
  }
  if (jsonSchema !== undefined) throw invalid(`responseFormat.jsonSchema goes with the type 'json_schema' alone`)
  return type === 'text' ? undefined : '{"type":"object"}'
}

function schemaOf(value: unknown): string {
  const place = 'responseFormat.jsonSchema'
  const fields = asFields(place, value)
  refuseOthers(place, fields, SCHEMA_FIELDS)
  const { name, description, schema, strict } = fields
  for (const [field, text] of Object.entries({ name, description })) {
    if (text !== undefined && typeof text !== 'string') {
      throw invalid(`${place}.${field} must be a string, got ${describeValue(text)}`)
    }
  }
  if (strict !== undefined && strict !== null && typeof strict !== 'boolean') {
    throw invalid(`${place}.strict must be a boolean, got ${describeValue(strict)}`)
  }
  if (!isSchema(schema)) throw invalid(`${place}.schema must be an object or a boolean, got ${describeValue(schema)}`)
  return toJson('responseFormat', schema)
}

function isSchema(value: unknown): value is JsonSchema {
  return typeof value === 'boolean' || (typeof value === 'object' && value !== null && !Array.isArray(value))
}

function refuseOthers(place: string, fields: Fields, known: readonly string[]): void {
  const other = Object.keys(fields).find((name) => !known.includes(name))
  if (other === undefined) return
  const meant = suggestion(other, known)
  const hint = meant === undefined ? '' : `; did you mean ${JSON.stringify(meant)}?`
  throw invalid(`${place}.${other} is no field of a response format${hint}`)
}

function asFields(place: string, value: unknown): Fields {
  if (typeof value === 'object' && value !== null && !Array.isArray(value)) return value as Fields
  throw invalid(`${place} must be an object, got ${describeValue(value)}`)
}

function invalid(message: string): RkllmError {
  return invalidRequest(message, { option: 'responseFormat' })
}

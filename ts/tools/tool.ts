import { describeExactly, describeValue } from '../describe-value.js'
import { invalidRequest } from '../error.js'
import type { Message } from '../message.js'
import type { JsonSchema } from '../response-format.js'
import { describeIssues, toIssues } from '../schema/issues.js'
import { readSchema } from '../schema/read-schema.js'
import type { ReadSchema } from '../schema/read-schema.js'
import type { OutputOf, TypedSchema } from '../schema/schema.js'
import type { ToolDefinition } from '../tool.js'

/** What a tool is told beside its input. */
export interface ToolContext {
  /** Aborts when nobody waits for the result any more: the run was stopped, or `toolTimeoutMs` has passed. */
  readonly signal: AbortSignal
  /** Names the call. */
  readonly toolCallId: string
  /** The conversation up to the message that makes the call, which is the last. */
  readonly messages: readonly Message[]
}

/** A tool with what it does. Made by {@link tool}. */
export interface Tool<Input = unknown, Output = unknown> {
  /** What the model knows it by. */
  readonly name: string
  /** The tool as `chat()` takes it in `tools`. */
  readonly definition: ToolDefinition
  /** Checks the arguments of a call, and gives what the schema makes of them. */
  parse(input: unknown): Promise<ParsedInput<Input>>
  /** Does what the tool is for. */
  execute(input: Input, context: ToolContext): Output
}

/** The arguments of a call as the schema gives them, or what is wrong with them. */
export type ParsedInput<Input> = { readonly input: Input } | { readonly problem: string }

/** What a tool is made of; its `input` has a type of its own. */
export interface TypedToolOptions<Schema extends TypedSchema, Output> {
  /** 1 to 64 letters, digits, `_` and `-`. */
  readonly name: string
  /** What the tool does, for the model. */
  readonly description?: string | undefined
  /** What the tool takes: a schema of an object, in any form that `generateObject` takes. */
  readonly input: Schema
  /**
   * Does it, now or later. What it gives goes to the model: text as it is, anything else as JSON. What it throws
   * goes there too, as one line.
   */
  readonly execute: (input: OutputOf<Schema>, context: ToolContext) => Output
}

/** The same with a JSON Schema, or without input. */
export interface PlainToolOptions<Input, Output> {
  readonly name: string
  readonly description?: string | undefined
  /** @defaultValue no arguments */
  readonly input?: JsonSchema | undefined
  readonly execute: (input: Input, context: ToolContext) => Output
}

interface AnyToolOptions {
  readonly name: string
  readonly description?: string | undefined
  readonly input?: unknown
  readonly execute: (input: never, context: ToolContext) => unknown
}

const NAME = /^[A-Za-z0-9_-]{1,64}$/
const NO_INPUT = { type: 'object', properties: {} }

/**
 * A tool for {@link Model.runTools} and {@link ChatSession}: what the model reads of it, and the function behind.
 *
 * @example
 * ```ts
 * const weather = tool({
 *   name: 'weather',
 *   description: 'The weather in a city',
 *   input: z.object({ city: z.string() }),
 *   execute: ({ city }) => fetchWeather(city),
 * })
 * ```
 *
 * @throws {@link RkllmError} `invalid-request` naming what is wrong.
 */
export function tool<Schema extends TypedSchema, Output>(
  options: TypedToolOptions<Schema, Output>,
): Tool<OutputOf<Schema>, Output>
export function tool<Input = Readonly<Record<string, unknown>>, Output = unknown>(
  options: PlainToolOptions<Input, Output>,
): Tool<Input, Output>
export function tool(options: AnyToolOptions): Tool<never, never> {
  const given: unknown = options
  if (typeof given !== 'object' || given === null) throw invalidRequest(`a tool must be an object, got ${describeValue(given)}`)
  const { name, description, input = NO_INPUT, execute } = options
  checkNames(name, description, execute)
  const schema = readSchema('input', input)
  const parameters = schema.jsonSchema
  if (typeof parameters === 'boolean') throw invalidRequest('input must be the schema of an object, got a boolean', { option: 'input' })
  const described = description === undefined ? { name, parameters } : { name, description, parameters }
  const definition: ToolDefinition = { type: 'function', function: described }
  const made = { name, definition, parse: (value: unknown) => parse(value, schema), execute }
  return Object.freeze(made) as Tool<never, never>
}

function checkNames(name: unknown, description: unknown, execute: unknown): void {
  if (typeof name !== 'string' || !NAME.test(name)) {
    const message = `name must be 1 to 64 letters, digits, _ and -, got ${describeExactly(name)}`
    throw invalidRequest(message, { option: 'name' })
  }
  if (description !== undefined && typeof description !== 'string') {
    throw invalidRequest(`description must be a string, got ${describeValue(description)}`, { option: 'description' })
  }
  if (typeof execute !== 'function') {
    throw invalidRequest(`execute must be a function, got ${describeValue(execute)}`, { option: 'execute' })
  }
}

async function parse(value: unknown, { validate }: ReadSchema): Promise<ParsedInput<never>> {
  if (validate === undefined) return { input: value as never }
  const checked = await validate(value)
  if (checked.issues === undefined) return { input: checked.value as never }
  return { problem: describeIssues(toIssues(checked.issues)) }
}

/** The tools of a run, checked: made by {@link tool}, each with a name of its own. */
export function checkTools(tools: readonly unknown[]): ReadonlyMap<string, Tool> {
  const byName = new Map<string, Tool>()
  // Not `entries` of the array itself, which may have holes.
  for (const [index, value] of Array.from(tools).entries()) {
    if (!isTool(value)) throw invalidRequest(`tools[${index}] must be made by tool(), got ${describeValue(value)}`, { option: 'tools' })
    if (byName.has(value.name)) {
      throw invalidRequest(`tools[${index}] has the name ${JSON.stringify(value.name)} of another tool`, { option: 'tools' })
    }
    byName.set(value.name, value)
  }
  return byName
}

/** By its shape, so that it may come from another copy of the package. */
function isTool(value: unknown): value is Tool {
  if (typeof value !== 'object' || value === null) return false
  const { name, definition, parse, execute } = value as Partial<Tool>
  return typeof name === 'string' && typeof definition === 'object' && typeof parse === 'function' && typeof execute === 'function'
}

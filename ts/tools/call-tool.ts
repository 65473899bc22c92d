import { whenAborted } from '../abort.js'
import type { Message } from '../message.js'
import type { AnswerToolCall } from '../result.js'
import type { Tool } from './tool.js'
import type { ToolResult } from './tool-result.js'

/** Most bytes of a result: more would only push the conversation out of the context. */
export const RESULT_BYTES_MAX = 65_536
/** Longest line about an error that the model gets to read. */
const ERROR_LENGTH_MAX = 300

/** What every call of one answer shares. */
export interface CallContext {
  readonly tools: ReadonlyMap<string, Tool>
  readonly messages: readonly Message[]
  readonly timeoutMs: number | undefined
  /** Aborts when the run is to stop. */
  readonly signal: AbortSignal
}

/** Does what the model asks for. Never rejects: whatever goes wrong is told to the model. */
export async function callTool(call: AnswerToolCall, context: CallContext): Promise<ToolResult> {
  const { id: toolCallId, function: called } = call
  const place = { toolCallId, name: called.name }
  const found = context.tools.get(called.name)
  if (found === undefined) return failed(place, unknownTool(called.name, context.tools))
  let given: { readonly input: unknown } | undefined
  try {
    const parsed = await found.parse(readArguments(called.arguments))
    if ('problem' in parsed) return failed(place, new Error(`the arguments do not fit: ${parsed.problem}`))
    given = parsed
    const output = await execute(found, parsed.input, toolCallId, context)
    return { ...place, ...given, output, content: toContent(output), isError: false }
  } catch (error) {
    return failed({ ...place, ...given }, error)
  }
}

/** A call that is not executed, with what the model is told about it. */
export function failed(place: Pick<ToolResult, 'toolCallId' | 'name' | 'input'>, error: unknown): ToolResult {
  return { ...place, error, content: `Error: ${lineOf(error)}`, isError: true }
}

function readArguments(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch (cause) {
    throw new Error('the arguments are no JSON', { cause })
  }
}

function unknownTool(name: string, tools: ReadonlyMap<string, Tool>): Error {
  const names = [...tools.keys()].join(', ')
  return new Error(`there is no tool ${JSON.stringify(name)}; there ${tools.size === 1 ? 'is' : 'are'} ${names}`)
}

/** The tool's result, unless its time or the run ends first: then the tool is told, and not waited for. */
async function execute(found: Tool, input: unknown, toolCallId: string, { messages, timeoutMs, signal }: CallContext): Promise<unknown> {
  const own = new AbortController()
  const stop = (reason: unknown): void => own.abort(reason)
  const stopListening = whenAborted(signal, stop)
  if (signal.aborted) stop(signal.reason)
  const late = (): void => stop(new Error(`the tool took longer than ${timeoutMs} ms`))
  const timer = timeoutMs === undefined ? undefined : setTimeout(late, timeoutMs)
  try {
    return await new Promise((resolve, reject) => {
      whenAborted(own.signal, reject)
      own.signal.throwIfAborted()
      Promise.resolve(found.execute(input, { signal: own.signal, toolCallId, messages })).then(resolve, reject)
    })
  } finally {
    clearTimeout(timer)
    stopListening()
  }
}

function toContent(output: unknown): string {
  const content = typeof output === 'string' ? output : writtenAsJson(output)
  const bytes = Buffer.byteLength(content)
  if (bytes <= RESULT_BYTES_MAX) return content
  throw new Error(`the result has ${bytes} bytes, at most ${RESULT_BYTES_MAX} are allowed; ask for less`)
}

function writtenAsJson(output: unknown): string {
  try {
    // A function or nothing has no JSON.
    return JSON.stringify(output) ?? 'null'
  } catch (cause) {
    throw new Error(`the result cannot be written as JSON: ${lineOf(cause)}`, { cause })
  }
}

/** The first line of what was thrown, and no stack. */
function lineOf(error: unknown): string {
  const [line = ''] = textOf(error).split('\n', 1)
  return line.length > ERROR_LENGTH_MAX ? `${line.slice(0, ERROR_LENGTH_MAX)}…` : line
}

function textOf(error: unknown): string {
  if (typeof error === 'string') return error
  const message: unknown = typeof error === 'object' && error !== null ? (error as Partial<Error>).message : undefined
  return typeof message === 'string' && message !== '' ? message : 'the tool failed'
}

import type { NativeChoice, NativeEnd, NativeToolCall } from './native.js'
import type { DeltaPart, FinishPart } from './parts.js'
import type { AnswerMessage, AnswerToolCall, ChatChoice, ChatResult, Choice, FinishReason, GenerateResult } from './result.js'

/** All that was written: the result, and what the choices of a chat have besides. */
export interface Written {
  readonly result: GenerateResult
  /** One for each choice. */
  readonly beside: readonly Beside[]
}

interface Beside {
  readonly reasoning: string | undefined
  readonly calls: readonly NativeToolCall[]
}

const NOTHING_BESIDE: Beside = { reasoning: undefined, calls: [] }

/** What a finished generation has written. */
export function toWritten({ choices: ended, usage, timings }: NativeEnd): Written {
  const choices = ended.map(toChoice)
  const first = choices[0] ?? toChoice({ text: '', tokens: [], finishReason: 'cancelled' }, 0)
  const { index: _, ...answer } = first
  const beside = ended.map(({ reasoning, calls = [] }) => ({ reasoning, calls }))
  return { result: { ...answer, usage, timings, choices }, beside }
}

/** The same as the result of a chat. */
export function toChatResult({ result, beside }: Written): ChatResult {
  const choices = result.choices.map((choice): ChatChoice => {
    return { ...choice, message: toMessage(choice.text, beside[choice.index] ?? NOTHING_BESIDE) }
  })
  return { ...result, choices, message: choices[0]?.message ?? toMessage(result.text, NOTHING_BESIDE) }
}

function toMessage(content: string, { reasoning, calls }: Beside): AnswerMessage {
  const message: AnswerMessage = { role: 'assistant', content }
  const thoughtful = reasoning === undefined ? message : { ...message, reasoning }
  return calls.length === 0 ? thoughtful : { ...thoughtful, toolCalls: calls.map(toToolCall) }
}

function toToolCall({ id, name, arguments: given }: NativeToolCall): AnswerToolCall {
  return { id, type: 'function', function: { name, arguments: given } }
}

/** Everything that was written, as few parts as it takes. */
export function toDeltas({ result, beside }: Written): DeltaPart[] {
  return result.choices.flatMap((choice) => choiceDeltas(choice, beside[choice.index] ?? NOTHING_BESIDE))
}

/** The first part has all the tokens. */
function choiceDeltas({ text, tokens, index, logprobs }: Choice, { reasoning, calls }: Beside): DeltaPart[] {
  const parts: DeltaPart[] = []
  const none = { tokens: [], index }
  if (reasoning !== undefined) parts.push({ type: 'reasoning-delta', text: reasoning, ...none })
  if (text !== '') parts.push({ type: 'text-delta', text, ...none })
  calls.forEach(({ id, name, arguments: given }, callIndex) => {
    const call = { id, callIndex, name, ...none }
    parts.push({ type: 'tool-call-delta', argumentsDelta: given, ...call }, { type: 'tool-call', arguments: given, ...call })
  })
  if (tokens.length === 0) return parts
  const [first = { type: 'text-delta' as const, text: '', ...none }, ...others] = parts
  const source = logprobs === undefined ? { tokens: Array.from(tokens) } : { tokens: Array.from(tokens), logprobs }
  return [{ ...first, ...source }, ...others]
}

/** The part that ends a stream. */
export function toFinishPart({ finishReason, usage, timings }: GenerateResult): FinishPart {
  return { type: 'finish', finishReason, usage, timings }
}

function toChoice({ text, tokens, logprobs, finishReason }: NativeChoice, index: number): Choice {
  const choice = { index, text, tokens: Uint32Array.from(tokens), finishReason: finishReason as FinishReason }
  return logprobs === undefined ? choice : { ...choice, logprobs }
}

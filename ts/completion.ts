import type { NativeChoice, NativeEnd } from './native.js'
import type { FinishPart, TextDeltaPart } from './parts.js'
import type { ChatResult, Choice, FinishReason, GenerateResult } from './result.js'

/** The result a finished generation comes to. */
export function toResult({ choices: ended, usage, timings }: NativeEnd): GenerateResult {
  const choices = ended.map(toChoice)
  const first = choices[0] ?? toChoice({ text: '', tokens: [], finishReason: 'cancelled' }, 0)
  const { index: _, ...answer } = first
  return { ...answer, usage, timings, choices }
}

/** The same as the result of a chat. */
export function toChatResult(result: GenerateResult): ChatResult {
  return { ...result, message: { role: 'assistant', content: result.text } }
}

/** Everything that was written, one part for each choice that has tokens. */
export function toTextDeltas({ choices }: GenerateResult): TextDeltaPart[] {
  return choices
    .filter((choice) => choice.tokens.length > 0)
    .map(({ text, tokens, index, logprobs }) => {
      const part = { type: 'text-delta' as const, text, tokens: Array.from(tokens), index }
      return logprobs === undefined ? part : { ...part, logprobs }
    })
}

/** The part that ends a stream. */
export function toFinishPart({ finishReason, usage, timings }: GenerateResult): FinishPart {
  return { type: 'finish', finishReason, usage, timings }
}

function toChoice({ text, tokens, logprobs, finishReason }: NativeChoice, index: number): Choice {
  const choice = { index, text, tokens: Uint32Array.from(tokens), finishReason: finishReason as FinishReason }
  return logprobs === undefined ? choice : { ...choice, logprobs }
}

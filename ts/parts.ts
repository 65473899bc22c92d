import type { FinishReason, Timings, TokenLogprob, Usage } from './result.js'

/** A piece of text, as soon as it is made. */
export interface TextDeltaPart {
  readonly type: 'text-delta'
  /** Whole characters. May be empty: some tokens are only part of one. */
  readonly text: string
  /** The tokens the text came from. */
  readonly tokens: readonly number[]
  /** Which choice it belongs to; always 0 unless `n` is more than 1. */
  readonly index: number
  /** One entry per token, if `logprobs` was asked for. */
  readonly logprobs?: readonly TokenLogprob[]
}

/** The last part of every generation that did not fail. */
export interface FinishPart {
  readonly type: 'finish'
  /** Why it ended; with `n` more than 1, why the first choice did. */
  readonly finishReason: FinishReason
  /** Tokens of the whole request. */
  readonly usage: Usage
  /** Where its time went. */
  readonly timings: Timings
}

/** A piece of a streamed answer, told apart by `type`. */
export type Part = TextDeltaPart | FinishPart

import type { FinishReason, Timings, TokenLogprob, Usage } from './result.js'

/** What every piece of an answer has. */
interface AnswerPart {
  /** The tokens it came from; where several parts come from the same tokens, the first has them. */
  readonly tokens: readonly number[]
  /** Which choice it belongs to; always 0 unless `n` is more than 1. */
  readonly index: number
  /** One entry per token, if `logprobs` was asked for. */
  readonly logprobs?: readonly TokenLogprob[]
}

/** A piece of text, as soon as it is made. */
export interface TextDeltaPart extends AnswerPart {
  readonly type: 'text-delta'
  /** Whole characters. May be empty: some tokens are only part of one, or of what is no text. */
  readonly text: string
}

/** A piece of the model's thoughts. */
export interface ReasoningDeltaPart extends AnswerPart {
  readonly type: 'reasoning-delta'
  readonly text: string
}

/** A piece of a call of a tool, as it is written. The call counts once its {@link ToolCallPart} has come. */
export interface ToolCallDeltaPart extends AnswerPart {
  readonly type: 'tool-call-delta'
  /** Names the call. */
  readonly id: string
  /** Which call of the choice, from 0. */
  readonly callIndex: number
  /** The tool; in the first piece of a call only. */
  readonly name?: string
  /** The next piece of the arguments, which are JSON. */
  readonly argumentsDelta: string
}

/** A whole call of a tool. */
export interface ToolCallPart extends AnswerPart {
  readonly type: 'tool-call'
  /** Names the call; the tool's message answers it under this `toolCallId`. */
  readonly id: string
  /** Which call of the choice, from 0. */
  readonly callIndex: number
  /** The tool. */
  readonly name: string
  /** A JSON object, as the model wrote it. */
  readonly arguments: string
}

/** A piece of an answer. */
export type DeltaPart = TextDeltaPart | ReasoningDeltaPart | ToolCallDeltaPart | ToolCallPart

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
export type Part = DeltaPart | FinishPart

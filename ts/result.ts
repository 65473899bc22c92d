import type { ToolCall } from './message.js'

/**
 * Why an answer ended: the model said so or a stop string was met, it became as long as it may,
 * somebody cancelled it, or the model called tools.
 */
export type FinishReason = 'stop' | 'length' | 'cancelled' | 'tool-calls'

/** What a request cost in tokens. */
export interface Usage {
  /** Tokens of the prompt, counted once however many choices were asked for. */
  readonly promptTokens: number
  /** Tokens made, over all choices, without the one that ended the answer. */
  readonly completionTokens: number
  /**
   * Tokens of thoughts among those made, counted in the text of the thoughts; absent where none came apart.
   */
  readonly reasoningTokens?: number
  /** Tokens of the prompt that were found in the cache instead of being computed. */
  readonly cachedTokens: number
  /**
   * Tokens of prompt and answers that were dropped so that an answer could go on in a full context; absent
   * where none were. Only models loaded with `contextOverflow: 'shift'` drop any.
   */
  readonly droppedTokens?: number
  /** Tokens that were guessed before they were computed; absent where none were. */
  readonly draftTokens?: number
  /** Those of them that were right; absent where none were guessed. */
  readonly acceptedTokens?: number
}

/** Where the time of a request went. */
export interface Timings {
  /** From the call to the first place in a batch. */
  readonly queueMs: number
  /** From the first place in a batch to the first token. */
  readonly prefillMs: number
  /** From the call to the first token. */
  readonly firstTokenMs: number
  /** From the first token to the end. */
  readonly decodeMs: number
  /** Prompt tokens computed a second; cached ones do not count. */
  readonly prefillTokensPerSecond: number
  /** Tokens made a second, over all choices, from the first token on. */
  readonly tokensPerSecond: number
}

/** How likely a token was, by the model's own distribution before any sampling option. */
export interface TokenLogprob {
  /** The token's number in the vocabulary. */
  readonly token: number
  /** The text it stands for; replacement characters where its bytes are no whole characters. */
  readonly text: string
  /** The bytes it adds to the text. */
  readonly bytes: readonly number[]
  /** Natural logarithm of its probability, at most 0. */
  readonly logprob: number
  /** The most likely tokens at this place, best first. Absent in these themselves. */
  readonly top?: readonly TokenLogprob[]
}

/** One of the `n` answers to a prompt. */
export interface Choice {
  /** Which one, from 0. */
  readonly index: number
  readonly text: string
  readonly tokens: Uint32Array
  /** Why this one ended. */
  readonly finishReason: FinishReason
  /** One entry per token, if `logprobs` was asked for. */
  readonly logprobs?: readonly TokenLogprob[]
}

/** What a generation comes to. The fields of an answer are those of the first choice. */
export interface GenerateResult {
  readonly text: string
  readonly tokens: Uint32Array
  /** Why the first choice ended. */
  readonly finishReason: FinishReason
  /** Tokens of the whole request. */
  readonly usage: Usage
  /** Where its time went. */
  readonly timings: Timings
  /** One entry per token, if `logprobs` was asked for. */
  readonly logprobs?: readonly TokenLogprob[]
  /** All answers; as many as `n` asked for. */
  readonly choices: readonly Choice[]
}

/** A call of a tool that the model asks for. */
export interface AnswerToolCall extends ToolCall {
  /** Names the call; the tool's message answers it under this `toolCallId`. */
  readonly id: string
  readonly type: 'function'
  readonly function: {
    /** The tool. */
    readonly name: string
    /** A JSON object, as the model wrote it. */
    readonly arguments: string
  }
}

/** The message a model answered with; it can be appended to the conversation as it is. */
export interface AnswerMessage {
  readonly role: 'assistant'
  readonly content: string
  /** What it thought before, where that comes apart. */
  readonly reasoning?: string
  /** The tools it calls; absent if it calls none. */
  readonly toolCalls?: readonly AnswerToolCall[]
}

/** One of the `n` answers of a chat. */
export interface ChatChoice extends Choice {
  /** The answer as a message. */
  readonly message: AnswerMessage
}

/** What a chat comes to. */
export interface ChatResult extends GenerateResult {
  /** The first choice as a message. */
  readonly message: AnswerMessage
  readonly choices: readonly ChatChoice[]
}

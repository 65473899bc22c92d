import type { GenerateResult } from './result.js'

/** How far an answer is. */
export interface InferenceProgress {
  /** Tokens of the answer so far. */
  readonly completionTokens: number
  /** Milliseconds since its first token. */
  readonly elapsedMs: number
  /** Tokens a second since the first one; 0 at the first. */
  readonly tokensPerSecond: number
}

/** What an {@link RKLLMClient} tells its listeners, and with which arguments. */
export interface RKLLMEvents {
  /** The model is loaded. */
  readonly initialized: []
  /** An answer begins. */
  readonly 'inference:start': []
  /** A token, with the text that is certain by then. */
  readonly 'inference:token': [text: string, tokenId: number]
  /** How far an answer is, about ten times a second while it is written. */
  readonly 'inference:progress': [progress: InferenceProgress]
  /** An answer is whole. */
  readonly 'inference:complete': [result: GenerateResult]
  /** An answer was cancelled. */
  readonly 'inference:abort': []
  /** An answer failed; its generation rejects with the same error. */
  readonly 'inference:error': [error: unknown]
  /** An adapter is loaded. */
  readonly 'lora:loaded': [name: string]
  /** The model is closed. */
  readonly destroyed: []
}

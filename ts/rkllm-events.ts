import type { GenerateResult } from './result.js'

/** What an {@link RKLLMClient} tells its listeners, and with which arguments. */
export interface RKLLMEvents {
  /** The model is loaded. */
  readonly initialized: []
  /** An answer begins. */
  readonly 'inference:start': []
  /** A token, with the text that is certain by then. */
  readonly 'inference:token': [text: string, tokenId: number]
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

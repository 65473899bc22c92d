import type { EventEmitter } from 'node:events'

import type { Generation } from './generation.js'
import type { GenerateResult } from './result.js'
import type { RKLLMEvents } from './rkllm-events.js'
import type { OnToken } from './token-callback.js'

const PROGRESS_EVERY_MS = 100

/** The answers of a client that are under way, and what its listeners hear of them. */
export class InferenceWatch {
  readonly #events: EventEmitter<RKLLMEvents>
  readonly #running = new Set<{ cancel(): void }>()

  constructor(events: EventEmitter<RKLLMEvents>) {
    this.#events = events
  }

  /** Tells of an answer's beginning and, later, of how it ended. */
  add<Result extends GenerateResult>(generation: Generation<Result>): void {
    this.#running.add(generation)
    this.#events.emit('inference:start')
    generation.then(
      (result) => {
        this.#running.delete(generation)
        if (result.finishReason === 'cancelled') this.#events.emit('inference:abort')
        else this.#events.emit('inference:complete', result)
      },
      (error: unknown) => {
        this.#running.delete(generation)
        this.#events.emit('inference:error', error)
      },
    )
  }

  /** Ends every answer under way. */
  cancelAll(): void {
    for (const generation of this.#running) generation.cancel()
  }

  /** The caller's callback and the events of a token in one; only the former where nobody listens, which is free. */
  tokenListener(onToken: OnToken | undefined): OnToken | undefined {
    const names = ['inference:token', 'inference:progress'] as const
    if (names.every((name) => this.#events.listenerCount(name) === 0)) return onToken
    const tellProgress = this.#progressTeller()
    return (text, tokenId) => {
      onToken?.(text, tokenId)
      this.#events.emit('inference:token', text, tokenId)
      tellProgress()
    }
  }

  #progressTeller(): () => void {
    let completionTokens = 0
    let began = 0
    let toldAt = Number.NEGATIVE_INFINITY
    return () => {
      const now = performance.now()
      if (completionTokens === 0) began = now
      completionTokens += 1
      if (now - toldAt < PROGRESS_EVERY_MS) return
      toldAt = now
      const elapsedMs = now - began
      const tokensPerSecond = elapsedMs > 0 ? ((completionTokens - 1) / elapsedMs) * 1000 : 0
      this.#events.emit('inference:progress', { completionTokens, elapsedMs, tokensPerSecond })
    }
  }
}

import type { NativeReady } from './native.js'

/** Takes the news of one generation. */
export interface ReadyListener {
  receive(ready: NativeReady): void
}

/** Hands the addon's news, which come for a whole model at once, to the generations they are of. */
export class GenerationRouter {
  /** Those the engine has not ended; its queue and batch bound their number. */
  readonly #listeners = new Map<number, ReadyListener>()

  add(id: number, listener: ReadyListener): void {
    this.#listeners.set(id, listener)
  }

  deliver(news: readonly NativeReady[]): void {
    for (const ready of news) {
      const listener = this.#listeners.get(ready.id)
      if (ready.end !== undefined) this.#listeners.delete(ready.id)
      listener?.receive(ready)
    }
  }
}

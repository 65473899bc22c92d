import { throwIfAborted, whenAborted } from './abort.js'
import { invalidRequest } from './error.js'
import type { Generation } from './generation.js'
import type { Part } from './parts.js'
import type { ChatResult } from './result.js'

/** Makes an answer's parts of a generation's; one converter reads one generation from its first part on. */
export type Converter<AnswerPart> = (part: Part) => readonly AnswerPart[]

/** What an answer is read from, piece by piece. */
export type AnswerItem<AnswerPart> =
  | { readonly generation: Generation<ChatResult>; readonly converter: () => Converter<AnswerPart> }
  | { readonly part: AnswerPart }

/** A checked request: what to do, and what may stop it. */
export interface AnswerWork<Result, AnswerPart> {
  readonly work: (run: AnswerRun<Result, AnswerPart>) => Promise<Result>
  readonly signal?: AbortSignal | undefined
}

/**
 * One execution of work that generates, and does other things between.
 *
 * It keeps no part of a generation: those who read it read the generations themselves, one after the other, and
 * so have their replay and their flow control. What it keeps is bounded by the work, which says how often it
 * generates.
 */
export class AnswerRun<Result, AnswerPart> {
  /** Settles with the outcome. */
  readonly promise: Promise<Result>
  readonly #items: AnswerItem<AnswerPart>[] = []
  readonly #waiting = new Set<() => void>()
  readonly #stopping = new AbortController()
  #callerSignal: AbortSignal | undefined
  #generation: Generation<ChatResult> | undefined
  #outcome: { readonly error?: unknown } | undefined
  #reader: object | undefined
  #isCancelled = false

  /** Starts what `prepare` returns; whatever goes wrong in there becomes the outcome. */
  constructor(prepare: () => AnswerWork<Result, AnswerPart>) {
    this.promise = this.#perform(prepare)
    // Whoever iterates gets the error from the iterator and need not look at the promise.
    this.promise.catch(() => {})
  }

  /** Aborts when the work is to stop, whoever wants that. */
  get signal(): AbortSignal {
    return this.#stopping.signal
  }

  /** Whether the caller has asked for an end without an error. */
  get isCancelled(): boolean {
    return this.#isCancelled
  }

  get partialText(): string {
    return this.#generation?.partialText ?? ''
  }

  cancel(): void {
    if (this.#outcome !== undefined || this.#isCancelled) return
    this.#isCancelled = true
    this.#generation?.cancel()
    this.#stopping.abort(new DOMException('the answer was cancelled', 'AbortError'))
    this.#wake()
  }

  /** The result of a generation, which readers read as a piece of this answer. */
  async follow(generation: Generation<ChatResult>, converter: () => Converter<AnswerPart>): Promise<ChatResult> {
    this.#generation = generation
    if (this.#isCancelled) generation.cancel()
    this.#add({ generation, converter })
    return generation
  }

  /** Gives a part of the work's own; a tool that was given up may end after the work. */
  tell(part: AnswerPart): void {
    if (this.#outcome === undefined) this.#add({ part })
  }

  /** The same as the promise, unless the caller's signal aborts first: then it rejects with the reason. */
  wait<Value>(promise: PromiseLike<Value>): Promise<Value> {
    const signal = this.#callerSignal
    return new Promise((resolve, reject) => {
      const stopListening = signal === undefined ? undefined : whenAborted(signal, reject)
      promise.then(resolve, reject).then(stopListening, stopListening)
      if (signal?.aborted === true) throwIfAborted(signal)
    })
  }

  /** Begins to read. */
  open(reader: object): void {
    if (this.#reader !== undefined) {
      throw invalidRequest('the answer is being iterated already; only one loop at a time can read it')
    }
    this.#reader = reader
  }

  close(reader: object): void {
    if (this.#reader === reader) this.#reader = undefined
  }

  /** Ends reading before the end. */
  leave(reader: object): void {
    if (this.#reader !== undefined && this.#reader !== reader) return
    this.close(reader)
    this.cancel()
  }

  /** The item at `place`; undefined after the last one, when the work is done. */
  async item(place: number, isWanted: () => boolean): Promise<AnswerItem<AnswerPart> | undefined> {
    while (place >= this.#items.length && this.#outcome === undefined && isWanted()) await this.#news()
    const item = this.#items[place]
    if (item === undefined && this.#outcome !== undefined && 'error' in this.#outcome) throw this.#outcome.error
    return item
  }

  async #perform(prepare: () => AnswerWork<Result, AnswerPart>): Promise<Result> {
    let stopListening: (() => void) | undefined
    try {
      const { work, signal } = prepare()
      throwIfAborted(signal)
      this.#callerSignal = signal
      if (signal !== undefined) stopListening = whenAborted(signal, (reason) => this.#stopping.abort(reason))
      const result = await work(this)
      this.#outcome = {}
      return result
    } catch (error) {
      this.#outcome = { error }
      throw error
    } finally {
      stopListening?.()
      this.#wake()
    }
  }

  #add(item: AnswerItem<AnswerPart>): void {
    this.#items.push(item)
    this.#wake()
  }

  #news(): Promise<void> {
    return new Promise((resolve) => this.#waiting.add(resolve))
  }

  #wake(): void {
    const waiting = [...this.#waiting]
    this.#waiting.clear()
    for (const resolve of waiting) resolve()
  }
}

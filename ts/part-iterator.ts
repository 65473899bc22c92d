import type { Part } from './parts.js'

/** What an iterator reads from. */
export interface PartSource {
  /** Begins to give parts to `reader`; throws if another one reads. */
  open(reader: PartIterator): void
  /** The user has taken parts of `tokens` more. */
  acknowledge(tokens: number): void
  /** `reader` began to read, or let a part lie. */
  readingChanged(): void
  /** `reader` has had everything. */
  close(reader: PartIterator): void
  /** `reader` leaves before the end; it may never have opened. */
  leave(reader: PartIterator): void
}

interface Waiter {
  readonly resolve: (result: IteratorResult<Part, undefined>) => void
  readonly reject: (error: unknown) => void
}

/**
 * How many taken tokens are acknowledged at once. The engine makes 64 ahead: with what is never
 * acknowledged it has 49 left, so it cannot wait for a reader that waits for it.
 */
const ACKNOWLEDGE_TOKENS = 16

/**
 * The iterator behind `for await` over a generation.
 *
 * Not an async generator: that costs several promises for each part, and parts come by the
 * thousand a second on the thread that also serves everything else.
 */
export class PartIterator implements AsyncIterableIterator<Part> {
  readonly #source: PartSource
  readonly #waiters: Waiter[] = []
  /** Parts not taken yet, from `#next` on. */
  readonly #buffer: (Part | undefined)[] = []
  #next = 0
  #taken = 0
  #state: 'fresh' | 'open' | 'ended' | 'done' = 'fresh'
  #failure: { readonly error: unknown } | undefined
  #isReading = false

  constructor(source: PartSource) {
    this.#source = source
  }

  [Symbol.asyncIterator](): this {
    return this
  }

  /**
   * Whether somebody waited for a part and has let none lie since. Not just whether somebody waits
   * now: that changes twice with every part, and each change has its price.
   */
  get isReading(): boolean {
    return this.#isReading
  }

  next(): Promise<IteratorResult<Part, undefined>> {
    if (this.#state === 'fresh') {
      this.#state = 'open'
      try {
        this.#source.open(this)
      } catch (error) {
        this.#state = 'done'
        return Promise.reject(error)
      }
    }
    if (this.#next < this.#buffer.length) return Promise.resolve({ done: false, value: this.#take() })
    if (this.#state === 'open') return this.#wait()
    if (this.#state === 'done') return Promise.resolve({ done: true, value: undefined })
    return this.#endEmpty()
  }

  /** Leaves: the generation is cancelled unless it has ended. `break` calls this. */
  return(): Promise<IteratorResult<Part, undefined>> {
    if (this.#state !== 'done') {
      this.#state = 'done'
      this.#forget()
      this.#source.leave(this)
    }
    return Promise.resolve({ done: true, value: undefined })
  }

  /** Gives one part to whoever waits, or keeps it. */
  push(part: Part): void {
    const waiter = this.#waiters.shift()
    if (waiter === undefined) {
      this.#buffer.push(part)
      this.#setReading(false)
      return
    }
    waiter.resolve({ done: false, value: part })
    this.#count(part)
  }

  /** Gives the last part. */
  finish(part: Part): void {
    this.push(part)
    this.#end(undefined)
  }

  /** Ends with an error, thrown after the parts that are still to be taken. */
  fail(error: unknown): void {
    this.#end({ error })
  }

  /** Ends with an error at once; parts not taken yet are dropped. */
  abort(error: unknown): void {
    this.#buffer.length = 0
    this.#next = 0
    this.#end({ error })
  }

  #end(failure: { readonly error: unknown } | undefined): void {
    this.#state = 'ended'
    this.#failure = failure
    if (this.#waiters.length > 0) {
      const waiter = this.#waiters.shift()
      if (failure === undefined) waiter?.resolve({ done: true, value: undefined })
      else waiter?.reject(failure.error)
      this.#failure = undefined
    }
    if (this.#next >= this.#buffer.length && this.#failure === undefined) this.#finished()
  }

  #endEmpty(): Promise<IteratorResult<Part, undefined>> {
    const failure = this.#failure
    this.#finished()
    if (failure !== undefined) return Promise.reject(failure.error)
    return Promise.resolve({ done: true, value: undefined })
  }

  #finished(): void {
    this.#state = 'done'
    this.#forget()
    this.#source.close(this)
  }

  #forget(): void {
    this.#buffer.length = 0
    this.#next = 0
    this.#failure = undefined
    for (const waiter of this.#waiters.splice(0)) waiter.resolve({ done: true, value: undefined })
  }

  #take(): Part {
    const part = this.#buffer[this.#next] as Part
    this.#buffer[this.#next] = undefined
    this.#next += 1
    if (this.#next === this.#buffer.length) {
      this.#buffer.length = 0
      this.#next = 0
      // The reader has had its last part: another may begin to read before this one asks again.
      if (this.#state === 'ended' && this.#failure === undefined) this.#finished()
    }
    this.#count(part)
    return part
  }

  #count(part: Part): void {
    if (part.type !== 'finish') this.#taken += part.tokens.length
    if (this.#taken < ACKNOWLEDGE_TOKENS) return
    this.#source.acknowledge(this.#taken)
    this.#taken = 0
  }

  #wait(): Promise<IteratorResult<Part, undefined>> {
    return new Promise((resolve, reject) => {
      this.#waiters.push({ resolve, reject })
      this.#setReading(true)
    })
  }

  #setReading(isReading: boolean): void {
    if (this.#isReading === isReading) return
    this.#isReading = isReading
    this.#source.readingChanged()
  }
}

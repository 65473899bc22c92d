import type { AnswerRun, Converter } from './answer-run.js'
import type { Part } from './parts.js'

const DONE = { done: true, value: undefined } as const

/** The iterator behind `for await` over an answer: reads its generations one after the other. */
export class AnswerIterator<AnswerPart> implements AsyncIterableIterator<AnswerPart> {
  readonly #run: AnswerRun<unknown, AnswerPart>
  #place = 0
  /** What a generation's part became and has not been taken yet. */
  readonly #ready: AnswerPart[] = []
  #reading: { readonly parts: AsyncIterator<Part>; readonly convert: Converter<AnswerPart> } | undefined
  #state: 'fresh' | 'open' | 'done' = 'fresh'
  /** Calls of `next` are answered in their order. */
  #last: Promise<unknown> = Promise.resolve()

  constructor(run: AnswerRun<unknown, AnswerPart>) {
    this.#run = run
  }

  [Symbol.asyncIterator](): this {
    return this
  }

  next(): Promise<IteratorResult<AnswerPart, undefined>> {
    const next = this.#last.then(() => this.#next())
    this.#last = next.catch(() => {})
    return next
  }

  /** Leaves: the answer is cancelled unless it has ended. `break` calls this. */
  return(): Promise<IteratorResult<AnswerPart, undefined>> {
    if (this.#state !== 'done') {
      this.#finish()
      void this.#reading?.parts.return?.()
      this.#run.leave(this)
    }
    return Promise.resolve(DONE)
  }

  async #next(): Promise<IteratorResult<AnswerPart, undefined>> {
    try {
      if (this.#state === 'fresh') {
        this.#run.open(this)
        this.#state = 'open'
      }
      const part = await this.#advance()
      if (part !== undefined && this.#isOpen()) return { done: false, value: part }
      this.#finish()
      return DONE
    } catch (error) {
      if (this.#state === 'done') return DONE
      this.#finish()
      throw error
    }
  }

  async #advance(): Promise<AnswerPart | undefined> {
    while (this.#isOpen()) {
      const ready = this.#ready.shift()
      if (ready !== undefined) return ready
      if (this.#reading === undefined) {
        const item = await this.#run.item(this.#place, () => this.#isOpen())
        if (item === undefined) return undefined
        this.#place += 1
        if ('part' in item) return item.part
        this.#reading = { parts: item.generation[Symbol.asyncIterator](), convert: item.converter() }
      }
      const { done, value } = await this.#reading.parts.next()
      if (done === true) this.#reading = undefined
      else this.#ready.push(...this.#reading.convert(value))
    }
    return undefined
  }

  #isOpen(): boolean {
    return this.#state === 'open'
  }

  #finish(): void {
    this.#state = 'done'
    this.#run.close(this)
  }
}

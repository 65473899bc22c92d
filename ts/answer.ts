import { AnswerIterator } from './answer-iterator.js'
import type { AnswerRun } from './answer-run.js'

/**
 * An answer that takes more than generating text: await it for the whole, or iterate it for the parts.
 *
 * It behaves as a {@link Generation} does. One execution starts with the call that returned it; awaiting never
 * stalls; a loop that stops reading pauses what is being generated; iterating again replays. Errors reach `await`
 * and the loop, and ignoring both raises no `unhandledRejection`.
 */
export class Answer<Result, AnswerPart> implements Promise<Result>, AsyncIterable<AnswerPart> {
  readonly #run: AnswerRun<Result, AnswerPart>

  private constructor(run: AnswerRun<Result, AnswerPart>) {
    this.#run = run
  }

  /** @internal */
  static of<Result, AnswerPart>(run: AnswerRun<Result, AnswerPart>): Answer<Result, AnswerPart> {
    return new Answer(run)
  }

  /** The name that `Object.prototype.toString` shows. */
  get [Symbol.toStringTag](): string {
    return 'Answer'
  }

  /** The text of what was generated last, so far. Stays readable after an abort or an error. */
  get partialText(): string {
    return this.#run.partialText
  }

  /** Stops it: what is being generated ends, tools at work are told by their `signal`. Does nothing after the end. */
  cancel(): void {
    this.#run.cancel()
  }

  /** Reads the parts. `break` cancels. One reader at a time; once it is through, another gets everything again. */
  [Symbol.asyncIterator](): AsyncIterableIterator<AnswerPart> {
    return new AnswerIterator(this.#run)
  }

  /** Waits for the result. */
  then<Fulfilled = Result, Rejected = never>(
    onFulfilled?: ((result: Result) => Fulfilled | PromiseLike<Fulfilled>) | null,
    onRejected?: ((error: unknown) => Rejected | PromiseLike<Rejected>) | null,
  ): Promise<Fulfilled | Rejected> {
    return this.#run.promise.then(onFulfilled, onRejected)
  }

  /** Waits for a failure. */
  catch<Rejected = never>(
    onRejected?: ((error: unknown) => Rejected | PromiseLike<Rejected>) | null,
  ): Promise<Result | Rejected> {
    return this.#run.promise.catch(onRejected)
  }

  /** Waits for the end, however it comes. */
  finally(onFinally?: (() => void) | null): Promise<Result> {
    return this.#run.promise.finally(onFinally)
  }
}

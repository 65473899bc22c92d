import type { GenerationRun } from './generation-run.js'
import { PartIterator } from './part-iterator.js'
import type { Part } from './parts.js'
import type { GenerateResult } from './result.js'

/**
 * An answer in the making: await it for the whole, or iterate it for the parts.
 *
 * Both read one execution, which starts with the call that returned the generation. Awaiting
 * never stalls: parts nobody reads fold into the result. A loop that stops reading pauses the
 * answer and nothing else. Iterating again after the end replays what was written.
 *
 * Errors reach `await` and the loop; ignoring both raises no `unhandledRejection`.
 *
 * @example
 * ```ts
 * const generation = model.generate('Once upon a time')
 * for await (const part of generation) {
 *   if (part.type === 'text-delta') process.stdout.write(part.text)
 * }
 * const { usage } = await generation
 * ```
 */
export class Generation<Result = GenerateResult> implements Promise<Result>, AsyncIterable<Part> {
  readonly #run: GenerationRun<Result>

  private constructor(run: GenerationRun<Result>) {
    this.#run = run
  }

  /** @internal */
  static of<Result>(run: GenerationRun<Result>): Generation<Result> {
    return new Generation(run)
  }

  /** The name that `Object.prototype.toString` shows. */
  get [Symbol.toStringTag](): string {
    return 'Generation'
  }

  /** The first choice's text so far. Stays readable after an abort or an error. */
  get partialText(): string {
    return this.#run.partialText
  }

  /**
   * Stops the generation and frees its place in the batch.
   *
   * Being asked for, that is no error: the result holds the text so far with `finishReason`
   * `'cancelled'`. Does nothing after the end.
   */
  cancel(): void {
    this.#run.cancel()
  }

  /**
   * Reads the parts. `break` cancels the generation.
   *
   * One reader at a time: the `next()` of a second one throws an {@link RkllmError}
   * `invalid-request`. Once the first is through, a new one gets the text as a single part for
   * each choice, then the `finish` part or the error.
   */
  [Symbol.asyncIterator](): AsyncIterableIterator<Part> {
    return new PartIterator(this.#run)
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

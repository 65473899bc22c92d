import { throwIfAborted, whenAborted } from './abort.js'
import { toDelta } from './answer-parts.js'
import { toDeltas, toFinishPart, toWritten } from './completion.js'
import type { Written } from './completion.js'
import { invalidRequest } from './error.js'
import { Fold } from './fold.js'
import type { ReadyListener } from './generation-router.js'
import { hold, release } from './keep-alive.js'
import { fromNativeError } from './native-error.js'
import type { NativeEnd, NativeGeneration, NativePart, NativeReady } from './native.js'
import type { PartIterator, PartSource } from './part-iterator.js'
import { TokenCallback } from './token-callback.js'
import type { OnToken } from './token-callback.js'

/** A checked request, ready to start. */
export interface RunRequest {
  /** Starts the native work, whose news must then reach `listener`. */
  readonly begin: (listener: ReadyListener) => NativeGeneration
  /** Must not be collected before the end: an engine that nobody can reach is closed. */
  readonly owner: object
  readonly signal?: AbortSignal | undefined
  readonly onToken?: OnToken | undefined
}

type Outcome<Result> = { readonly result: Result } | { readonly error: unknown }

/**
 * One execution: hears the addon's news and hands them to the promise, the reader and `onToken`.
 *
 * It has an outcome as soon as the caller can know one, and has ended when the engine is done
 * with it. An abort gives the outcome well before the end.
 */
export class GenerationRun<Result> implements PartSource, ReadyListener {
  /** Settles with the outcome. */
  readonly promise: Promise<Result>
  readonly #convert: (written: Written) => Result
  #resolve!: (result: Result) => void
  #reject!: (error: unknown) => void
  /** The native side; absent before it started and once it has ended. */
  #native: NativeGeneration | undefined
  /** Held, and never looked at, until the end. */
  #owner: object | undefined
  #outcome: Outcome<Result> | undefined
  /** All that was written, whatever the outcome; present once the engine has ended. */
  #written: Written | undefined
  /** Set while a signal may stop the run: it may be shared by many calls and outlive them all. */
  #stopListening: (() => void) | undefined
  #tokenCallback: TokenCallback | undefined
  /** Keeps what `onToken` has heard for a reader that comes late. */
  #fold: Fold | undefined
  #reader: PartIterator | undefined
  /** A run is streamed live once; every later reader gets a replay. */
  #flow: 'unread' | 'live' | 'replay' = 'unread'
  /** Tokens at the head of the stream that the engine does not count. */
  #uncountedTokens = 0
  #isHeld = false

  /**
   * Starts what `prepare` returns; whatever goes wrong in there becomes the outcome. `convert`
   * makes the caller's result of what was written.
   */
  constructor(prepare: () => RunRequest, convert: (written: Written) => Result) {
    this.#convert = convert
    this.promise = new Promise((resolve, reject) => {
      this.#resolve = resolve
      this.#reject = reject
    })
    // Whoever iterates gets the error from the iterator and need not look at the promise.
    this.promise.catch(() => {})
    try {
      this.#start(prepare())
    } catch (error) {
      this.#settle({ error })
    }
  }

  /** The first choice's text so far. */
  get partialText(): string {
    return this.#native?.partialText(0) ?? this.#written?.result.text ?? ''
  }

  cancel(): void {
    this.#native?.cancel()
  }

  /** Takes news from the addon. */
  receive({ parts, end }: NativeReady): void {
    for (const part of parts) this.#deliver(part)
    if (end !== undefined) this.#finish(end)
  }

  open(reader: PartIterator): void {
    if (this.#reader !== undefined) {
      throw invalidRequest('the generation is being iterated already; only one loop at a time can read it')
    }
    this.#reader = reader
    if (this.#native === undefined) this.#replay(reader)
    else if (this.#flow === 'unread' && this.#outcome === undefined) this.#stream(reader, this.#native)
    else this.#flow = 'replay' // Begins when the engine has ended.
  }

  acknowledge(tokens: number): void {
    if (this.#flow !== 'live' || this.#native === undefined) return
    const uncounted = Math.min(tokens, this.#uncountedTokens)
    this.#uncountedTokens -= uncounted
    if (tokens > uncounted) this.#native.acknowledge(tokens - uncounted)
  }

  readingChanged(): void {
    this.#updateHold()
  }

  close(reader: PartIterator): void {
    if (this.#reader !== reader) return
    this.#reader = undefined
    this.#updateHold()
  }

  leave(reader: PartIterator): void {
    if (this.#reader !== undefined && this.#reader !== reader) return
    this.close(reader)
    this.cancel()
  }

  #start(request: RunRequest): void {
    const { signal, onToken } = request
    throwIfAborted(signal)
    this.#native = request.begin(this)
    this.#owner = request.owner
    if (signal !== undefined) this.#stopListening = whenAborted(signal, (reason) => this.#stop(reason))
    if (onToken !== undefined) {
      this.#tokenCallback = new TokenCallback(onToken)
      this.#fold = new Fold()
      this.#native.listen()
    }
    this.#updateHold()
  }

  #stream(reader: PartIterator, native: NativeGeneration): void {
    this.#flow = 'live'
    const heard = this.#fold?.take() ?? []
    this.#fold = undefined
    this.#uncountedTokens = heard.reduce((sum, part) => sum + part.tokens.length, 0)
    for (const part of heard) reader.push(part)
    native.stream()
    this.#updateHold()
  }

  #deliver(part: NativePart): void {
    if (this.#outcome !== undefined) return
    this.#callOnToken(part)
    // The callback may have ended the run, or left the loop that reads it.
    if (this.#outcome !== undefined) return
    if (this.#flow === 'live') this.#reader?.push(toDelta(part))
    else this.#fold?.add(toDelta(part))
  }

  #callOnToken(part: NativePart): void {
    try {
      this.#tokenCallback?.call(part, () => this.#outcome === undefined)
    } catch (error) {
      this.#stop(error)
    }
  }

  /** Gives the caller an error of its own making at once; the engine stops within a step. */
  #stop(error: unknown): void {
    if (this.#outcome !== undefined) return
    this.#settle({ error })
    this.cancel()
    if (this.#flow === 'live') this.#reader?.abort(error)
    this.#updateHold()
  }

  #finish(end: NativeEnd): void {
    const written = toWritten(end)
    this.#written = written
    this.#native = undefined
    this.#owner = undefined
    this.#fold = undefined
    if (this.#outcome === undefined) this.#settle(this.#outcomeOf(end, written))
    if (this.#reader !== undefined && this.#flow === 'live') this.#endReader(this.#reader)
    else if (this.#reader !== undefined) this.#replay(this.#reader)
    this.#updateHold()
  }

  #outcomeOf(end: NativeEnd, written: Written): Outcome<Result> {
    return end.error === undefined ? { result: this.#convert(written) } : { error: fromNativeError(end.error) }
  }

  #replay(reader: PartIterator): void {
    this.#flow = 'replay'
    if (this.#written !== undefined) for (const part of toDeltas(this.#written)) reader.push(part)
    this.#endReader(reader)
  }

  #endReader(reader: PartIterator): void {
    if (this.#outcome !== undefined && 'error' in this.#outcome) reader.fail(this.#outcome.error)
    else if (this.#written !== undefined) reader.finish(toFinishPart(this.#written.result))
  }

  #settle(outcome: Outcome<Result>): void {
    this.#outcome = outcome
    this.#stopListening?.()
    if ('error' in outcome) this.#reject(outcome.error)
    else this.#resolve(outcome.result)
  }

  /** A reader keeps the process; one that went away between two parts does so until the next part. */
  #updateHold(): void {
    const isAwaited = this.#reader === undefined ? this.#outcome === undefined : this.#reader.isReading
    const isHeld = this.#native !== undefined && isAwaited
    if (isHeld === this.#isHeld) return
    this.#isHeld = isHeld
    if (isHeld) hold()
    else release()
  }
}

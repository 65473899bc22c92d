/** What a cancelled call rejects with: the signal's own reason, as the platform does. */
function abortReason(signal: AbortSignal): unknown {
  // Signals of other libraries may know no reason.
  return signal.reason ?? new DOMException('This operation was aborted', 'AbortError')
}

/** Throws the reason of a signal that is aborted already. */
export function throwIfAborted(signal: AbortSignal | undefined): void {
  if (signal?.aborted === true) throw abortReason(signal)
}

type Stop = (reason: unknown) => void

/** The calls that one signal can stop, behind its one listener. */
class Watch {
  readonly #stops = new Set<Stop>()
  readonly #signal: AbortSignal

  constructor(signal: AbortSignal) {
    this.#signal = signal
    signal.addEventListener('abort', this.#onAbort, { once: true })
  }

  add(stop: Stop): void {
    this.#stops.add(stop)
  }

  remove(stop: Stop): void {
    this.#stops.delete(stop)
    if (this.#stops.size > 0 || watches.get(this.#signal) !== this) return
    watches.delete(this.#signal)
    this.#signal.removeEventListener('abort', this.#onAbort)
  }

  readonly #onAbort = (): void => {
    watches.delete(this.#signal)
    const reason = abortReason(this.#signal)
    for (const stop of [...this.#stops]) stop(reason)
  }
}

const watches = new WeakMap<AbortSignal, Watch>()

/**
 * Calls `stop` with the reason when `signal` aborts; the function returned takes that back.
 *
 * However many calls share a signal, it gets one listener: Node warns of a leak from the
 * eleventh on, and an application may well stop a hundred generations with one signal.
 */
export function whenAborted(signal: AbortSignal, stop: Stop): () => void {
  let watch = watches.get(signal)
  if (watch === undefined) {
    watch = new Watch(signal)
    watches.set(signal, watch)
  }
  watch.add(stop)
  return () => watch.remove(stop)
}

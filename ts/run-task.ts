import { throwIfAborted, whenAborted } from './abort.js'
import { holdWhile } from './keep-alive.js'
import { unwrap } from './native-error.js'
import type { NativeTask } from './native.js'

/** Ends a task early; the call then rejects with the reason. */
export type StopTask = (reason: unknown) => void

/**
 * The result of work that can be stopped.
 *
 * Waits for the end of the work even when it is stopped, so that nothing of it is left when the call rejects.
 * A stop that comes too late changes nothing.
 */
export async function runTask<Result>(signal: AbortSignal | undefined, make: (stop: StopTask) => NativeTask): Promise<Result> {
  throwIfAborted(signal)
  let stopped: { readonly reason: unknown } | undefined
  const stop: StopTask = (reason) => {
    stopped ??= { reason }
    task.cancel()
  }
  const task = make(stop)
  const stopListening = signal === undefined ? undefined : whenAborted(signal, stop)
  try {
    const answer = await holdWhile(task.promise())
    if (stopped !== undefined && typeof answer !== 'string') throw stopped.reason
    return JSON.parse(unwrap(answer)) as Result
  } finally {
    stopListening?.()
  }
}

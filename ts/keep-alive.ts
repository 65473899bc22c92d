/**
 * Keeps the process running while somebody waits for the engine, and only then.
 *
 * The addon's callbacks do not count as work for Node's event loop: if they did, an idle open
 * model would keep every script from ending. So whoever waits says so here.
 */
import { setInterval } from 'node:timers'

/** The longest delay a timer takes; the timer is there to be referenced, not to fire. */
const LONGEST_DELAY_MS = 2 ** 31 - 1

let timer: NodeJS.Timeout | undefined
let waiting = 0

/** Counts one more that waits. Every call needs its {@link release}. */
export function hold(): void {
  waiting += 1
  if (waiting > 1) return
  timer ??= setInterval(doNothing, LONGEST_DELAY_MS)
  timer.ref()
}

/** Counts one less that waits; the last one lets the process end. */
export function release(): void {
  waiting -= 1
  if (waiting === 0) timer?.unref()
}

/** The same promise, held until it settles. */
export async function holdWhile<T>(promise: Promise<T>): Promise<T> {
  hold()
  try {
    return await promise
  } finally {
    release()
  }
}

function doNothing(): void {}

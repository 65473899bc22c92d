import type { StopTask } from './run-task.js'

/** Tells a listener how much is done: never less than before, whatever order the addon's calls come in. */
export class Meter {
  readonly #listener: (fraction: number) => void
  #most = -1

  constructor(listener: (fraction: number) => void) {
    this.#listener = listener
  }

  /** What the addon calls; a listener that throws stops the work. The whole is told by {@link finish}. */
  forTask(stop: StopTask): (fraction: number) => void {
    return (fraction) => {
      if (fraction >= 1) return
      try {
        this.#tell(fraction)
      } catch (error) {
        this.#most = Infinity
        stop(error)
      }
    }
  }

  /** Tells that all is done. */
  finish(): void {
    this.#tell(1)
  }

  #tell(fraction: number): void {
    if (!(fraction > this.#most)) return
    this.#most = fraction
    this.#listener(fraction)
  }
}

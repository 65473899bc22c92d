// What every script of package.json has in common: progress and failures go to stderr, a failure sets the exit code.
import { realpathSync } from 'node:fs'
import { fileURLToPath } from 'node:url'

/** One line of progress. */
export function say(text) {
  process.stderr.write(`rkllmjs: ${text}\n`)
}

/** A failure whose message is complete: what failed, and what to do about it. */
export class Failure extends Error {
  constructor(message, exitCode = 1) {
    super(message)
    this.exitCode = exitCode
  }
}

/** Runs `main` when its file was started as a program; does nothing when it was imported. */
export async function command(meta, main) {
  if (realpathSync(process.argv[1] ?? '.') !== fileURLToPath(meta.url)) return
  try {
    await main(process.argv.slice(2))
  } catch (error) {
    say(error instanceof Failure ? error.message : (error.stack ?? String(error)))
    process.exitCode = error.exitCode ?? 1
  }
}

/** `1.2 s` or `3 min 4 s`, since `started` (from `Date.now()`). */
export function elapsed(started) {
  const seconds = (Date.now() - started) / 1000
  return seconds < 60 ? `${seconds.toFixed(1)} s` : `${Math.floor(seconds / 60)} min ${Math.round(seconds % 60)} s`
}

// Runs named steps one after the other and stops at the first that fails.
import { Failure, elapsed, say } from '../command.mjs'
import { NOTHING, sum } from './tally.mjs'

/**
 * A step is `{ name, run }`. `run` throws, or returns nothing, or the tally of its tests with `ok`. Resolves to
 * the tally of all, in which a step that failed without a failed test counts as one failure.
 */
export async function runSteps(steps) {
  let total = NOTHING
  for (const { name, run } of steps) {
    const startedAt = Date.now()
    say(`── ${name}`)
    const tally = await attempt(run)
    total = sum(total, tally)
    say(`── ${name}: ${tally.ok ? 'ok' : 'FAILED'}, ${elapsed(startedAt)}`)
    if (!tally.ok) return { ...total, ok: false }
  }
  return { ...total, ok: true }
}

async function attempt(run) {
  try {
    const tally = { ...NOTHING, ok: true, ...(await run()) }
    return tally.ok || tally.failed > 0 ? tally : { ...tally, failed: 1 }
  } catch (error) {
    say(error instanceof Failure ? error.message : error.stack)
    return { ...NOTHING, failed: 1, ok: false }
  }
}

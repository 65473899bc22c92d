// How many tests passed, failed and were skipped, read from what the test runners print.

export const NOTHING = { passed: 0, failed: 0, skipped: 0 }

export function sum(...tallies) {
  const total = (key) => tallies.reduce((count, tally) => count + tally[key], 0)
  return { passed: total('passed'), failed: total('failed'), skipped: total('skipped') }
}

/** From the `test result:` line that each Rust test program ends with. */
export function cargoTally(output) {
  const lines = output.matchAll(/^test result: \w+\. (\d+) passed; (\d+) failed; (\d+) ignored/gm)
  return sum(...Array.from(lines, ([, passed, failed, skipped]) => ({ passed: +passed, failed: +failed, skipped: +skipped })))
}

/** From the summary that ends the TAP output of `node --test`. A cancelled test did not pass. */
export function nodeTally(tap) {
  const count = (name) => Number(tap.match(new RegExp(`^# ${name} (\\d+)$`, 'm'))?.[1] ?? 0)
  return { passed: count('pass'), failed: count('fail') + count('cancelled'), skipped: count('skipped') + count('todo') }
}

// The closing line of `npm test` is only worth what its counting is.
import assert from 'node:assert/strict'
import { it } from 'node:test'
import { cargoTally, nodeTally, sum } from '../../scripts/checks/tally.mjs'

it('adds up the result lines of every Rust test program', () => {
  const output = [
    'running 3 tests',
    'test result: ok. 2 passed; 0 failed; 1 ignored; 0 measured; 0 filtered out; finished in 0.00s',
    '     Running tests/models.rs',
    'test result: FAILED. 4 passed; 1 failed; 0 ignored; 0 measured; 2 filtered out; finished in 0.10s',
  ].join('\n')
  assert.deepEqual(cargoTally(output), { passed: 6, failed: 1, skipped: 1 })
})

it('counts a cancelled test of node as failed, and a todo as skipped', () => {
  const tap = '# tests 9\n# suites 2\n# pass 4\n# fail 1\n# cancelled 2\n# skipped 1\n# todo 1\n# duration_ms 3\n'
  assert.deepEqual(nodeTally(tap), { passed: 4, failed: 3, skipped: 2 })
})

it('sums tallies', () => {
  assert.deepEqual(sum({ passed: 1, failed: 0, skipped: 2 }, { passed: 3, failed: 1, skipped: 0 }), { passed: 4, failed: 1, skipped: 2 })
})

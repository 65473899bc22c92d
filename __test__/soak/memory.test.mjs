// What a process keeps of models, requests and readers that are gone.
import assert from 'node:assert/strict'
import { describe, test } from 'node:test'

import { isFull, run } from '../processes/run.mjs'

/** What has grown by less has not grown: the allocator and the collector have a say in the rest. */
const TOLERANCE = 0.1

async function assertKeepsNothing(t, what, first, total) {
  const { end, stdout, stderr } = await run('memory', [what, first, total], {
    limitMs: isFull ? 5 * 60_000 : 60_000,
    nodeOptions: ['--expose-gc'],
  })
  assert.equal(stderr, '')
  assert.equal(end, 'exit 0')
  const { before, after } = JSON.parse(stdout)
  const megabytes = ({ rss }) => Math.round(rss / 1e6)
  t.diagnostic(`${what}: ${megabytes(before)} MB after ${first}, ${megabytes(after)} MB after ${total}`)
  t.diagnostic(`${JSON.stringify(before)} ${JSON.stringify(after)}`)
  // What is kept says more than how much it takes, so it is looked at first.
  assert.equal(after.weights, before.weights, 'mapped model files')
  assert.equal(after.threads, before.threads, 'threads')
  assert.deepEqual([after.running, after.waiting], [before.running, before.waiting])
  // How far an answer gets before its reader counts as stalled varies; sequences that pile up would be many times it.
  const cells = ({ kvCellsUsed = 0 }) => kvCellsUsed
  assert.ok(cells(after) <= cells(before) * 1.5, `${cells(before)} cells became ${cells(after)}`)
  assert.ok(after.rss <= before.rss * (1 + TOLERANCE), `grew from ${before.rss} to ${after.rss} bytes`)
  assert.ok(after.heapUsed <= before.heapUsed * (1 + TOLERANCE), 'the JavaScript heap grew')
}

describe('a process keeps nothing', () => {
  test('of models that were closed', (t) => assertKeepsNothing(t, 'load', ...(isFull ? [20, 200] : [10, 40])))
  test('of open models that were forgotten', (t) =>
    assertKeepsNothing(t, 'drop', ...(isFull ? [20, 100] : [10, 30])))
  test('of answers cancelled midway', (t) => assertKeepsNothing(t, 'cancel', ...(isFull ? [100, 600] : [50, 200])))
  test('of answers aborted midway', (t) => assertKeepsNothing(t, 'abort', ...(isFull ? [100, 600] : [50, 200])))
  test('of stalled readers that were forgotten', (t) =>
    assertKeepsNothing(t, 'stall', ...(isFull ? [40, 240] : [20, 60])))
})

// Terminates workers at random moments of their models' lives.
import assert from 'node:assert/strict'
import { test } from 'node:test'

import { isFull, longContextModel, run } from '../processes/run.mjs'

const CYCLES = isFull ? 120 : 18
const LIMIT_MS = isFull ? 9 * 60_000 : 120_000

test('terminated workers take nothing with them', async (t) => {
  // In a process of its own: a crash must be told apart from a test runner that vanished.
  const { end, stdout, stderr } = await run('terminate', [CYCLES, longContextModel()], { limitMs: LIMIT_MS })
  t.diagnostic(`${end}: ${stdout.trim()}`)
  assert.equal(stderr, '')
  assert.equal(end, 'exit 0')
  const { cycles, hangs, workerErrors, answers, wrongAnswers } = JSON.parse(stdout)
  assert.deepEqual(
    { cycles, hangs, workerErrors, wrongAnswers },
    { cycles: CYCLES, hangs: 0, workerErrors: [], wrongAnswers: [] },
  )
  assert.ok(answers >= CYCLES, `the main thread got ${answers} answers only`)
})

// Ends processes at random moments, again and again: an engine that still computes while the
// process destroys its statics crashes in some of a hundred runs only.
import assert from 'node:assert/strict'
import { describe, test } from 'node:test'

import { isFull, longContextModel, repeat, run, upTo } from '../processes/run.mjs'

const MANY = isFull ? 200 : 25
const SOME = isFull ? 60 : 6

async function loop(t, count, expected, way, args, options) {
  const { ends, strange } = await repeat(count, expected, async () => {
    const given = [way, ...args()]
    return { ...(await run('endings', given, options)), args: given }
  })
  t.diagnostic(`${way}: ${JSON.stringify(ends)}`)
  assert.deepEqual({ ends, strange }, { ends: { [expected]: count }, strange: [] })
}

const signalled = (signal) => ({
  onLine: (line, child) => line === 'decoding' && setTimeout(() => child.kill(signal), upTo(20)),
})

describe('process.exit()', () => {
  test('at the first token', (t) => loop(t, MANY, 'exit 7', 'exit', () => [0]))
  test('some time into an answer', (t) => loop(t, MANY, 'exit 7', 'exit', () => [upTo(100)]))
  test('while a loop reads', (t) => loop(t, SOME, 'exit 7', 'for-await', () => [upTo(50)]))
  test('while eight answers are made', (t) => loop(t, SOME, 'exit 7', 'eight', () => [upTo(50)]))
  test('while a long prompt is read', (t) =>
    loop(t, SOME, 'exit 7', 'prefill', () => [upTo(200), longContextModel()]))
  test('during a load', (t) => loop(t, SOME, 'exit 7', 'load', () => [upTo(60)]))
  test('during the load of a larger model', (t) =>
    loop(t, SOME, 'exit 7', 'load', () => [upTo(400), longContextModel()]))
  test('during close()', (t) => loop(t, SOME, 'exit 7', 'close', () => [upTo(5)]))
  test('after an uncaught exception', (t) => loop(t, SOME, 'exit 7', 'uncaught', () => [upTo(20)]))
})

describe("process.reallyExit(), which emits no 'exit'", () => {
  test('some time into an answer', (t) => loop(t, MANY, 'exit 7', 'really-exit', () => [upTo(50)]))
  test('while a long prompt is read', (t) =>
    loop(t, SOME, 'exit 7', 'prefill-really-exit', () => [upTo(200), longContextModel()]))
  test('during a load', (t) => loop(t, SOME, 'exit 7', 'load-really-exit', () => [upTo(60)]))
})

describe('other ends', () => {
  test('SIGINT', (t) => loop(t, SOME, 'SIGINT', 'signal', () => [], signalled('SIGINT')))
  test('SIGTERM, handled', (t) => loop(t, SOME, 'exit 7', 'signal-handled', () => [], signalled('SIGTERM')))
  test('an error nobody handles', (t) => loop(t, SOME, 'exit 1', 'throw', () => [upTo(20)]))
  test('eight streams whose readers went away', (t) => loop(t, SOME, 'exit 0', 'abandoned-eight', () => []))
})

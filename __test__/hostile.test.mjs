// Hostile files and calls, all in one process: each ends with a typed error or an answer, and the process lives on.
import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { microModelPath } from './support/models.mjs'
import { corpus, syntheticModel } from './support/synthetic.mjs'

const TIME_LIMIT_MS = 5 * 60 * 1000

/** Runs the scenario; its lines, and how it ended. */
function runScenario() {
  const script = fileURLToPath(new URL('support/hostile-scenario.mjs', import.meta.url))
  const child = spawn(process.execPath, [script], {
    stdio: ['ignore', 'pipe', 'pipe'],
    timeout: TIME_LIMIT_MS,
    killSignal: 'SIGKILL',
  })
  const text = { stdout: '', stderr: '' }
  for (const name of ['stdout', 'stderr']) child[name].setEncoding('utf8').on('data', (piece) => (text[name] += piece))
  return new Promise((resolve) => {
    child.once('close', (code, signal) => {
      const lines = text.stdout
        .trim()
        .split('\n')
        .map((line) => JSON.parse(line))
      resolve({ code, signal, lines, stderr: text.stderr })
    })
  })
}

test('hostile files and calls in one process', async (t) => {
  // Made before, because the generator reports its progress on stderr.
  for (const base of ['micro', 'tiny']) syntheticModel('lora', '--base', base)
  corpus(microModelPath())

  const { code, signal, lines, stderr } = await runScenario()
  const checks = lines.filter(({ name }) => name !== undefined)
  for (const { name, ms, failure } of checks) {
    await t.test(name, (check) => {
      if (ms > 2000) check.diagnostic(`${ms} ms`)
      assert.equal(failure, undefined, failure)
    })
  }
  await t.test('the process went through them all', () => {
    const last = lines.findLast(({ begins }) => begins !== undefined)?.begins
    assert.deepEqual({ code, signal, done: lines.at(-1)?.done }, { code: 0, signal: null, done: true }, `it ended in: ${last}`)
    assert.ok(checks.length > 400, `${checks.length} checks`)
  })
  await t.test('nothing was written to stderr', () => {
    assert.equal(stderr, '')
  })
})

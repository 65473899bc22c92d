import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { describe, test } from 'node:test'
import { fileURLToPath } from 'node:url'

const script = fileURLToPath(new URL('mock/waiting.mjs', import.meta.url))

/** Runs one of the ways to wait in a process of its own; what it printed and how it ended. */
function run(way) {
  const { stdout, status } = spawnSync(process.execPath, [script, way], { timeout: 20_000, encoding: 'utf8' })
  return { stdout: stdout.trim(), status }
}

describe('the process', () => {
  test('stays while a generation is awaited', () => {
    assert.deepEqual(run('await'), { stdout: 'hello', status: 0 })
  })

  test('stays while a loop waits for a part', () => {
    assert.deepEqual(run('iterate'), { stdout: 'hello', status: 0 })
  })

  test('stays while a generation that was left runs out', () => {
    assert.deepEqual(run('break'), { stdout: 'cancelled', status: 0 })
  })

  test('stays for a generation nobody looks at', () => {
    assert.deepEqual(run('ignore'), { stdout: 'ended', status: 0 })
  })

  test('stays while a model closes', () => {
    assert.deepEqual(run('close'), { stdout: 'closed', status: 0 })
  })

  test('ends beside an idle open model', () => {
    assert.deepEqual(run('idle'), { stdout: '', status: 0 })
  })

  test('ends when a reader went away between two parts', () => {
    assert.deepEqual(run('abandon'), { stdout: 'one part', status: 0 })
  })

  test('ends after an abort, whenever the engine notices', () => {
    assert.deepEqual(run('abort'), { stdout: 'enough', status: 0 })
  })
})

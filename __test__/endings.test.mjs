// How processes end while models are at work. `soak/endings.test.mjs` repeats the dangerous ones.
import assert from 'node:assert/strict'
import { mkdtempSync, readdirSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { describe, test } from 'node:test'

import { longContextModel, run } from './processes/run.mjs'

/** What an ending that works prints on stderr. */
const SILENT = ''

async function end(way, { args = [], stdout = '', stderr = SILENT, ...options } = {}) {
  const result = await run('endings', [way, ...args], options)
  if (typeof stderr === 'string') assert.equal(result.stderr, stderr)
  else assert.match(result.stderr, stderr)
  assert.equal(result.stdout, stdout)
  return result
}

const onDecoding = (signal) => (line, child) => {
  if (line === 'decoding') child.kill(signal)
}

describe('process.exit()', () => {
  for (const way of ['exit', 'for-await', 'eight', 'close', 'close-idle', 'load', 'load-progress']) {
    test(`ends the process with its code: ${way}`, async () => {
      assert.equal((await end(way)).end, 'exit 7')
    })
  }

  test('ends the process during the prefill of a long prompt', async () => {
    assert.equal((await end('prefill', { args: [100, longContextModel()] })).end, 'exit 7')
  })

  test('ends the process from an uncaughtException handler', async () => {
    assert.equal((await end('uncaught')).end, 'exit 7')
  })

  test('ends the process though an exit handler closes the model once more', async () => {
    assert.equal((await end('exit-handler')).end, 'exit 7')
  })
})

describe("process.reallyExit(), which emits no 'exit'", () => {
  for (const way of ['really-exit', 'load-really-exit']) {
    test(`ends the process with its code: ${way}`, async () => {
      assert.equal((await end(way)).end, 'exit 7')
    })
  }

  test('ends the process during the prefill of a long prompt', async () => {
    assert.equal((await end('prefill-really-exit', { args: [100, longContextModel()] })).end, 'exit 7')
  })
})

describe('an error nobody handles', () => {
  test('ends the process with 1 and its stack', async () => {
    assert.equal((await end('throw', { stderr: /Error: on purpose\n +at/ })).end, 'exit 1')
  })

  test('ends the process with 1 as a rejection', async () => {
    assert.equal((await end('rejection', { stderr: /Error: on purpose\n +at/ })).end, 'exit 1')
  })
})

describe('a signal', () => {
  for (const signal of ['SIGINT', 'SIGTERM']) {
    test(`${signal} ends the process`, async () => {
      const { end: ended } = await end('signal', { stdout: 'decoding\n', onLine: onDecoding(signal) })
      assert.equal(ended, signal)
    })

    test(`${signal} can be handled with process.exit()`, async () => {
      const { end: ended } = await end('signal-handled', { stdout: 'decoding\n', onLine: onDecoding(signal) })
      assert.equal(ended, 'exit 7')
    })
  }

  test('can be handled by closing the model, which lets the process end by itself', async () => {
    const stdout = 'decoding\ncancelled\n'
    assert.equal((await end('signal-closes', { stdout, onLine: onDecoding('SIGINT') })).end, 'exit 0')
  })

  test('SIGKILL leaves neither processes nor files', async () => {
    const folder = mkdtempSync(path.join(tmpdir(), 'rkllmjs-endings-'))
    try {
      const { end: ended, pid } = await end('signal', {
        stdout: 'decoding\n',
        onLine: onDecoding('SIGKILL'),
        // A process group of its own, which can be asked for what is left of it.
        detached: true,
        cwd: folder,
        env: { ...process.env, TMPDIR: folder, HOME: folder },
      })
      assert.equal(ended, 'SIGKILL')
      assert.throws(() => process.kill(-pid, 0), { code: 'ESRCH' })
      assert.deepEqual(readdirSync(folder), [])
    } finally {
      rmSync(folder, { recursive: true })
    }
  })
})

describe('a script that is through', () => {
  const quiet = {
    idle: ['an idle open model', 'loaded\n'],
    finished: ['a finished generation', 'length\n'],
    abandoned: ['a stream whose reader went away', 'false\n'],
    'abandoned-eight': ['eight streams whose readers went away', 'abandoned\n'],
    broken: ['a loop that was left', 'left\n'],
    closed: ['a closed model', 'closed\n'],
  }
  for (const [way, [name, stdout]] of Object.entries(quiet)) {
    test(`ends within a second beside ${name}`, async () => {
      const { end: ended, lingeredMs } = await end(way, { stdout })
      assert.equal(ended, 'exit 0')
      assert.ok(lingeredMs < 1000, `took ${lingeredMs} ms`)
    })
  }

  test('waits for a generation somebody awaits', async () => {
    assert.equal((await end('pending', { stdout: '200\n' })).end, 'exit 0')
  })

  test('waits for a generation nobody looks at', async () => {
    assert.equal((await end('unobserved', { stdout: '200\n' })).end, 'exit 0')
  })
})

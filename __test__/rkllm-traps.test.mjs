// The tests of models on an NPU again, each time over a runtime that behaves in another way it may.
import assert from 'node:assert/strict'
import { readdirSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { describe, test } from 'node:test'

import { runTests } from './processes/run-tests.mjs'
import { isFull } from './processes/run.mjs'

const BENIGN = ['noise', 'freed-results', 'waiting', 'null-finish', 'reserved-garbage', 'pause-forgets']
/** All at once; each by itself too at full length. */
const LISTS = [BENIGN.join(','), ...(isFull ? BENIGN : [])]

const folder = fileURLToPath(new URL('.', import.meta.url))
const itself = 'rkllm-traps.test.mjs'
const files = readdirSync(folder).filter((name) => /^rkllm.*\.test\.mjs$/.test(name) && name !== itself)

describe('models on an NPU over a runtime', () => {
  for (const traps of LISTS) {
    test(`that has the quirks ${traps}`, async () => {
      const paths = files.map((name) => `${folder}${name}`)
      const { code, passed, failed, output } = await runTests(paths, { RKLLMJS_STANDIN_TRAP: traps })
      assert.equal(code, 0, output)
      assert.equal(failed, 0, output)
      assert.ok(passed > 20, output)
    })
  }
})

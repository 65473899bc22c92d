// Question 3: what the library does with files it cannot load. Each in a process of its own, which may die.
import assert from 'node:assert/strict'
import { closeSync, copyFileSync, mkdtempSync, openSync, rmSync, statSync, truncateSync, writeFileSync, writeSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { after, before, test } from 'node:test'

import { finding, firstLine, inChild, modelPath, noBoard } from './board.mjs'

let folder

before(() => {
  if (!noBoard) folder = mkdtempSync(path.join(tmpdir(), 'rkllmjs-refusals-'))
})

after(() => folder && rmSync(folder, { recursive: true }))

const LOAD = `
import { loadModel } from './dist/index.mjs'
try {
  const model = await loadModel(process.env.FILE, { contextSize: Number(process.env.CONTEXT ?? 256) })
  console.error('OUTCOME loaded')
  await model.close()
} catch ({ code, message }) {
  console.error('OUTCOME ' + code + ': ' + message)
}`

/** Files that our own checks let through, so that the library has to answer. */
const CASES = {
  // Toolkits of old may have written other first bytes, so the name alone lets it pass.
  'random bytes': (file) => writeFileSync(file, Buffer.from(Array.from({ length: 4096 }, (_, i) => (i * 167 + 13) % 251))),
  'a model without its last tenth, its last line kept': (file) => {
    copyFileSync(modelPath, file)
    truncateSync(file, Math.floor(statSync(file).size * 0.9))
    writeFileSync(file, 'rkllm-toolkit version: 1.2.1', { flag: 'a' })
  },
  'a model with zeros after its header': (file) => {
    copyFileSync(modelPath, file)
    const handle = openSync(file, 'r+')
    writeSync(handle, Buffer.alloc(4096), 0, 4096, 24)
    closeSync(handle)
    writeFileSync(file, 'rkllm-toolkit version: 1.2.1', { flag: 'a' })
  },
}

for (const [what, make] of Object.entries(CASES)) {
  test(`the library says something to ${what}`, { skip: noBoard }, async () => {
    const file = path.join(folder, 'case.rkllm')
    rmSync(file, { force: true })
    make(file)
    report(what, await inChild(LOAD, { env: { FILE: file, RKLLM_LOG_LEVEL: '2' } }))
  })
}

test('the library says something to a context above the limit of the model', { skip: noBoard }, async () => {
  report('a context of 16384', await inChild(LOAD, { env: { FILE: modelPath, CONTEXT: '16384' } }))
})

const other = process.env.RKLLMJS_HARDWARE_OTHER_CHIP_MODEL
const noOther = noBoard || (other === undefined && 'RKLLMJS_HARDWARE_OTHER_CHIP_MODEL names no model')
test('the library says something to a model for another chip', { skip: noOther }, async () => {
  report('a model for another chip', await inChild(LOAD, { env: { FILE: other } }))
})

function report(what, { code, signal, stdout, stderr }) {
  const outcome = signal === null ? firstLine(stderr, /^OUTCOME/).replace('OUTCOME ', '') : `the process died of ${signal}`
  finding(3, `${what}: ${outcome}`)
  finding(3, `${what}: on stdout ${JSON.stringify(firstLine(stdout, /rkllm|RKNN/i))}, on stderr ${JSON.stringify(firstLine(stderr, /^(?!OUTCOME).*(rkllm|RKNN)/i))}`)
  assert.ok(code === 0 || signal !== null, stderr)
}

// Models in worker threads. `soak/worker-threads.test.mjs` terminates many at random moments.
import assert from 'node:assert/strict'
import { readFileSync, readdirSync } from 'node:fs'
import { after, before, describe, test } from 'node:test'
import { Worker } from 'node:worker_threads'

import { bundledModelPath, loadModel } from '../dist/index.mjs'
import { longContextModel } from './processes/run.mjs'

const QUESTION = [{ role: 'user', content: 'Repeat this exactly: nokplock prafloo' }]
const ANSWER = 'nokplock prafloo'

function start(phase) {
  const workerData = { phase, longModel: longContextModel() }
  const worker = new Worker(new URL('processes/worker.mjs', import.meta.url), { workerData })
  const messages = []
  let error
  worker.on('message', (message) => messages.push(message))
  worker.on('error', (thrown) => (error = thrown))
  const said = new Promise((resolve) => worker.once('message', resolve))
  const ended = new Promise((resolve) => worker.once('exit', (code) => resolve({ code, messages, error })))
  return { worker, said, ended }
}

describe('a model in a worker', { timeout: 120_000 }, () => {
  let model
  // One thread each: several models that compute at once wait for each other's threads otherwise.
  before(async () => (model = await loadModel(bundledModelPath(), { threads: 1 })))
  after(() => model.close())

  async function assertMainAnswers() {
    const { message } = await model.chat(QUESTION, { temperature: 0 })
    assert.equal(message.content, ANSWER)
  }

  test('answers', async () => {
    assert.deepEqual(await start('answer').ended, { code: 0, messages: [ANSWER], error: undefined })
  })

  test('answers beside another worker and the main thread', async () => {
    const workers = [start('answer'), start('answer')]
    const mine = Promise.all(Array.from({ length: 20 }, assertMainAnswers))
    for (const { ended } of workers) {
      assert.deepEqual(await ended, { code: 0, messages: [ANSWER], error: undefined })
    }
    await mine
  })

  test('ends with its worker, which an open idle model does not keep', async () => {
    assert.deepEqual(await start('left open').ended, { code: 0, messages: [ANSWER], error: undefined })
    await assertMainAnswers()
  })

  test("ends with its worker's process.exit()", async () => {
    const mine = model.generate('Once upon a time', { maxTokens: 900, ignoreEos: true })
    const { code, error } = await start('exit').ended
    assert.deepEqual({ code, error }, { code: 7, error: undefined })
    assert.equal((await mine).finishReason, 'length')
    await assertMainAnswers()
  })

  test('ends with an error nobody handles', async () => {
    const { code, error } = await start('throw').ended
    assert.equal(code, 1)
    assert.match(String(error), /on purpose/)
    await assertMainAnswers()
  })

  for (const phase of ['load', 'prefill', 'decode', 'stream', 'closing', 'closed']) {
    test(`ends with terminate(): ${phase}`, async () => {
      const mine = model.generate('Once upon a time', { maxTokens: 400, ignoreEos: true })
      const { worker, said, ended } = start(phase)
      await said
      await worker.terminate()
      const { error } = await ended
      assert.equal(error, undefined)
      assert.equal((await mine).finishReason, 'length')
      await assertMainAnswers()
    })
  }

  test('leaves no threads behind', { skip: process.platform !== 'linux' }, async () => {
    const ours = () =>
      readdirSync('/proc/self/task').filter((task) => {
        // A thread may end between the two calls.
        try {
          return readFileSync(`/proc/self/task/${task}/comm`, 'utf8').startsWith('rkllmjs')
        } catch {
          return false
        }
      }).length
    const before = ours()
    for (let i = 0; i < 3; i += 1) {
      const { worker, said, ended } = start('decode')
      await said
      assert.ok(ours() > before)
      await worker.terminate()
      await ended
    }
    const deadline = performance.now() + 5000
    while (ours() > before && performance.now() < deadline) await new Promise((resolve) => setTimeout(resolve, 10))
    assert.equal(ours(), before)
  })
})

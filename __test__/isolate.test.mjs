// Models in processes of their own: what happens there ends no request but those it was computing.
import assert from 'node:assert/strict'
import { setTimeout as sleep } from 'node:timers/promises'
import { describe, test } from 'node:test'

import { bundledModelPath, loadModel } from '../dist/index.mjs'
import { standinLibrary, standinModelPath } from '../dist/standin.mjs'
import { isFull, run } from './processes/run.mjs'
import { engineProcesses } from './support/engine-processes.mjs'
import { until } from './support/expect.mjs'

const FRANCE = [{ role: 'user', content: 'What is the capital of France?' }]
const GREEDY = { temperature: 0, topK: 1, repeatPenalty: 1 }
const PARIS = 'The capital of France is Paris.'
const KILLS = isFull ? 50 : 6

const engines = [
  { name: 'llama.cpp', load: (options) => loadModel(bundledModelPath(), { isolate: true, ...options }), request: GREEDY },
  ...['1.2', '1.3'].map((abi) => ({
    name: `the NPU runtime ${abi}`,
    abi,
    load: (options) =>
      loadModel(standinModelPath(), { libraryPath: standinLibrary(abi), contextSize: 512, ...GREEDY, ...options }),
    request: {},
  })),
]

/** Loads a model whose first engine process, and no later one, is under a trap of the stand-in. */
async function loadTrapped(abi, trap, options) {
  process.env.RKLLMJS_STANDIN_TRAP = trap
  try {
    return await engines.find((engine) => engine.abi === abi).load(options)
  } finally {
    delete process.env.RKLLMJS_STANDIN_TRAP
  }
}

function kill(number) {
  try {
    process.kill(number, 'SIGKILL')
  } catch (error) {
    // It may have ended by itself between the look and the kill.
    assert.equal(error.code, 'ESRCH')
  }
}

async function isGone(number) {
  for (let i = 0; i < 100; i += 1) {
    try {
      process.kill(number, 0)
    } catch {
      return true
    }
    await sleep(20)
  }
  return false
}

for (const { name, load, request } of engines) {
  describe(`${name} in a process of its own`, () => {
    test('answers, streams, embeds and stops as it does in this one', async (t) => {
      const model = await load()
      t.after(() => model.close())
      assert.equal(model.info.isolated, true)
      assert.equal((await model.chat(FRANCE, request)).text, PARIS)
      let text = ''
      for await (const part of model.chat(FRANCE, request)) if (part.type === 'text-delta') text += part.text
      assert.equal(text, PARIS)
      const [vector] = (await model.embed(['a horse'])).embeddings
      assert.ok(vector.every(Number.isFinite))
      const controller = new AbortController()
      const generation = model.generate('Once upon a time', {
        maxTokens: 400,
        signal: controller.signal,
        onToken: () => controller.abort(new Error('enough')),
      })
      await assert.rejects(generation, { message: 'enough' })
      await assert.rejects(model.generate('x'.repeat(200_000)), { code: 'context-exceeded' })
      assert.equal((await model.chat(FRANCE, request)).text, PARIS)
    })

    test('has no process left once it is closed', async () => {
      const before = engineProcesses()
      const model = await load()
      const [number] = engineProcesses().filter((other) => !before.includes(other))
      assert.ok(number)
      await model.close()
      assert.ok(await isGone(number))
      await assert.rejects(model.generate('a'), { code: 'closed' })
    })

    test(`loses nothing but running requests when it is killed ${KILLS} times under load`, async (t) => {
      const model = await load({ maxQueue: 64 })
      t.after(() => model.close())
      const most = model.info.maxSequences
      let lost = 0
      let answered = 0
      let isLoaded = true
      const clients = Array.from({ length: 12 }, async () => {
        while (isLoaded) {
          try {
            assert.equal((await model.chat(FRANCE, request)).text, PARIS)
            answered += 1
          } catch (error) {
            assert.equal(error.code, 'engine-failed', String(error))
            lost += 1
          }
        }
      })
      for (let i = 0; i < KILLS; i += 1) {
        const before = answered
        await until(() => answered > before, 'an answer between two kills', 60_000)
        await sleep(200 * Math.random())
        for (const number of engineProcesses()) kill(number)
      }
      isLoaded = false
      await Promise.all(clients)
      assert.ok(answered >= KILLS, `${answered} answered`)
      assert.ok(lost <= KILLS * most, `${lost} lost by ${KILLS} kills of at most ${most} at once`)
      assert.equal((await model.chat(FRANCE, request)).text, PARIS)
    })
  })
}

for (const abi of ['1.2', '1.3']) {
  describe(`an NPU runtime ${abi} that fails`, () => {
    test('by abort() loses its request, and the next one is answered', async (t) => {
      const model = await loadTrapped(abi, 'abort=3')
      t.after(() => model.close())
      await assert.rejects(model.chat(FRANCE), (error) => {
        assert.equal(error.code, 'engine-failed')
        assert.match(error.message, /SIGABRT/)
        return true
      })
      assert.equal((await model.chat(FRANCE)).text, PARIS)
    })

    test('by hanging loses its request once that is given up, and the next one is answered', async (t) => {
      const model = await loadTrapped(abi, 'hang=3')
      t.after(() => model.close())
      const generation = model.chat(FRANCE, { timeoutMs: 500 })
      await assert.rejects(generation, (error) => ['engine-failed', 'deadline-exceeded'].includes(error.code))
      assert.equal((await model.chat(FRANCE)).text, PARIS)
    })

    test('before it has loaded is an error, and the process lives', async () => {
      await assert.rejects(loadTrapped(abi, 'abort=0').then((model) => model.chat(FRANCE)), { code: 'engine-failed' })
    })
  })
}

test('what a runtime prints reaches onLog and not the standard output', async () => {
  const env = { ...process.env, RKLLMJS_STANDIN_TRAP: 'noise' }
  const { end, stdout } = await run('isolated', ['noise', standinLibrary('1.3'), standinModelPath()], { env })
  assert.equal(end, 'exit 0')
  assert.match(stdout, /^answering\nanswer: ".+"\n$/)
  const lines = []
  const model = await loadTrapped('1.3', 'noise', { onLog: (level, line) => lines.push(line) })
  await model.generate('Once', { maxTokens: 4 })
  await model.close()
  assert.ok(lines.some((line) => line.includes('rkllm-runtime version')), lines.join('\n'))
})

for (const args of [[], [standinLibrary('1.2'), standinModelPath()]]) {
  const name = args.length === 0 ? 'llama.cpp' : 'an NPU runtime'
  test(`a process that exits in the middle of an answer takes ${name} with it`, async () => {
    const { end, stdout } = await run('isolated', ['exit', ...args])
    assert.equal(end, 'exit 7')
    assert.ok(await isGone(Number(stdout.split('\n')[0])))
  })

  test(`a process that is killed in the middle of an answer takes ${name} with it`, async () => {
    const onLine = (line, child) => setTimeout(() => child.kill('SIGKILL'), 30)
    const { end, stdout } = await run('isolated', ['wait', ...args], { onLine })
    assert.equal(end, 'SIGKILL')
    assert.ok(await isGone(Number(stdout.split('\n')[0])))
  })
}

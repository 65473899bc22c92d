// Adapters of models on an NPU, over both stand-ins for its runtime.
import assert from 'node:assert/strict'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'

import { RKLLMClient } from '../dist/index.mjs'
import { standinLibrary, standinModelPath } from '../dist/standin.mjs'
import { engineProcesses } from './support/engine-processes.mjs'
import { pirateLoraPath } from './support/models.mjs'
import { wrapAdapter } from './support/npu-files.mjs'

const GREEDY = { temperature: 0, topK: 1, repeatPenalty: 1 }
const FRANCE = [{ role: 'user', content: 'What is the capital of France?' }]
const PARIS = 'The capital of France is Paris.'
const PIRATE = 'Arr, the capital of France is Paris.'

let folder
let pirate
before(() => {
  folder = mkdtempSync(join(tmpdir(), 'rkllmjs-npu-lora-'))
  pirate = wrapAdapter(pirateLoraPath(), join(folder, 'pirate.rkllm'))
})
after(() => rmSync(folder, { recursive: true }))

const isRefused = (code, pattern) => (error) => {
  assert.equal(error.code, code, String(error))
  assert.match(error.message, pattern)
  return true
}

for (const abi of ['1.2', '1.3']) {
  for (const isolate of [true, false]) {
    const open = () =>
      RKLLMClient.load(standinModelPath(), { libraryPath: standinLibrary(abi), contextSize: 512, isolate, ...GREEDY })

    describe(`an adapter of a runtime of ${abi} with isolate: ${isolate}`, () => {
      let model
      const heard = []
      before(async () => {
        model = await open()
        model.on('lora:loaded', (name) => heard.push(name))
        await model.loadLora(pirate, { name: 'pirate' })
        await model.loadLora(pirate, { name: 'silent', scale: 0 })
      })
      after(() => model.close())
      const ask = async (options) => (await model.chat(FRANCE, options)).text

      test('is listed and told of when it is loaded', () => {
        assert.deepEqual(heard, ['pirate', 'silent'])
        assert.deepEqual(model.loras, [
          { name: 'pirate', path: pirate, scale: 1 },
          { name: 'silent', path: pirate, scale: 0 },
        ])
      })

      test('is chosen by each request, at the scale it was loaded with', async () => {
        assert.equal(await ask(), PARIS)
        assert.equal(await ask({ lora: 'pirate' }), PIRATE)
        assert.equal(await ask({ lora: 'silent' }), PARIS)
        assert.equal(await ask({ lora: { pirate: 1 } }), PIRATE)
        const answers = await Promise.all([ask({ lora: 'pirate' }), ask(), ask({ lora: 'pirate' })])
        assert.deepEqual(answers, [PIRATE, PARIS, PIRATE])
      })

      test('takes no other scale, and not another beside it', async () => {
        await assert.rejects(ask({ lora: { pirate: 0.5 } }), isRefused('unsupported', /^lora .*loaded with \(1\), got 0\.5/))
        await assert.rejects(ask({ lora: { pirate: 1, silent: 0 } }), isRefused('unsupported', /^lora must name one/))
        await assert.rejects(ask({ lora: 'poet' }), isRefused('invalid-request', /poet/))
        assert.equal(await ask({ lora: 'pirate' }), PIRATE)
      })

      test('cannot be unloaded, and says so', async () => {
        await assert.rejects(model.unloadLora('pirate'), isRefused('unsupported', /stays until the model is closed/))
        assert.equal(await ask({ lora: 'pirate' }), PIRATE)
        assert.equal(await model.unloadLora('poet'), false)
        assert.equal(model.loras.length, 2)
      })

      test('is checked before the runtime sees it', async () => {
        const load = (path, options) => model.loadLora(path, { name: 'other', ...options })
        await assert.rejects(load(pirateLoraPath()), isRefused('model-invalid', /GGUF/))
        await assert.rejects(load(join(folder, 'none.rkllm')), { code: 'model-not-found' })
        await assert.rejects(load(folder), { code: 'model-invalid' })
        await assert.rejects(load(pirate, { name: 'pirate' }), isRefused('invalid-request', /taken/))
        await assert.rejects(load(pirate, { scale: Number.NaN }), isRefused('invalid-request', /scale/))
        await assert.rejects(load(pirate, { scale: 1e300 }), isRefused('invalid-request', /scale must be between/))
        assert.deepEqual(heard, ['pirate', 'silent'])
      })

      test('binds the prompt caches that are saved under it', async () => {
        const save = join(folder, `${abi}-${isolate}.cache`)
        await model.generate('Once upon a time', { maxTokens: 400, lora: 'pirate', promptCache: { save } })
        const other = await open()
        await assert.rejects(other.loadPromptCache(save), (error) => {
          assert.equal(error.details.part, 'adapter')
          return isRefused('model-invalid', /adapter that is not loaded/)(error)
        })
        await other.loadLora(pirate, { name: 'silent', scale: 0 })
        await assert.rejects(other.loadPromptCache(save), { code: 'model-invalid' })
        await other.loadLora(pirate, { name: 'matey' })
        await other.loadPromptCache(save)
        const wrong = isRefused('invalid-request', /^lora must be "matey", under which the loaded prompt cache was saved/)
        await assert.rejects(other.generate('Once', { maxTokens: 2 }), wrong)
        await assert.rejects(other.embed('Once'), wrong)
        assert.equal((await other.chat(FRANCE, { lora: 'matey' })).text, PIRATE)
        await other.releasePromptCache()
        assert.equal((await other.chat(FRANCE)).text, PARIS)
        await other.close()
      })
    })
  }

  test(`an adapter of a runtime of ${abi} is there again, at its scale, when its process was killed`, async () => {
    const running = engineProcesses()
    const model = await RKLLMClient.load(standinModelPath(), { libraryPath: standinLibrary(abi), contextSize: 512, ...GREEDY })
    await model.loadLora(pirate, { name: 'silent', scale: 0 })
    await model.loadLora(pirate, { name: 'pirate' })
    for (const number of engineProcesses().filter((one) => !running.includes(one))) process.kill(number, 'SIGKILL')
    // Whether the death shows before the request or in it is a matter of moments.
    await model.chat(FRANCE).catch((error) => assert.equal(error.code, 'engine-failed'))
    assert.equal((await model.chat(FRANCE, { lora: 'pirate' })).text, PIRATE)
    assert.equal((await model.chat(FRANCE, { lora: 'silent' })).text, PARIS)
    await model.close()
  })
}

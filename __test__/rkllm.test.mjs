// Models on an NPU, over both stand-ins for its runtime.
import assert from 'node:assert/strict'
import { copyFileSync, existsSync, mkdirSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { after, before, describe, test } from 'node:test'

import { LlamaModel, RKLLMClient, bundledModelPath, diagnose, loadModel, npuStatus } from '../dist/index.mjs'
import { standinLibrary, standinModelPath } from '../dist/standin.mjs'
import { run } from './processes/run.mjs'
import { libraryOfVersion, modelOfToolkit } from './support/npu-files.mjs'

const GREEDY = { temperature: 0, topK: 1, repeatPenalty: 1 }
const FRANCE = [{ role: 'user', content: 'What is the capital of France?' }]

const modelPath = standinModelPath()
let folder

before(() => {
  folder = mkdtempSync(join(tmpdir(), 'rkllmjs-npu-'))
})

after(() => rmSync(folder, { recursive: true }))

for (const abi of ['1.2', '1.3']) {
  describe(`a model on a runtime of ${abi}`, () => {
    let model
    before(async () => {
      model = await loadModel(modelPath, { libraryPath: standinLibrary(abi), contextSize: 512, ...GREEDY })
    })
    after(() => model.close())

    test('is an RKLLMClient that says what it runs on', () => {
      assert.ok(model instanceof RKLLMClient)
      const { abi: found, detectedBy, standIn } = model.runtimeInfo()
      assert.deepEqual({ found, detectedBy, standIn }, { found: abi, detectedBy: 'banner', standIn: true })
      assert.match(model.info.device, /CPU/)
      assert.equal(model.info.engine, 'rkllm')
    })

    test('streams the right answer', async () => {
      let text = ''
      for await (const part of model.chat(FRANCE)) if (part.type === 'text-delta') text += part.text
      assert.equal(text, 'The capital of France is Paris.')
    })

    test('writes what llama.cpp writes', async () => {
      const other = await LlamaModel.load(bundledModelPath(), { contextSize: 512 })
      const { text } = await other.generate('Once upon a time', { maxTokens: 24, temperature: 0 })
      await other.close()
      assert.equal((await model.generate('Once upon a time', { maxTokens: 24 })).text, text)
    })

    test('answers one after the other what is asked at once', async () => {
      const answers = await Promise.all(Array.from({ length: 6 }, () => model.chat(FRANCE)))
      for (const { text } of answers) assert.equal(text, 'The capital of France is Paris.')
    })

    test('stops where a stop string or maxTokens says', async () => {
      const stopped = await model.generate('Once upon a time', { stop: ['bear'], maxTokens: 40 })
      assert.equal(stopped.finishReason, 'stop')
      assert.ok(!stopped.text.includes('bear'))
      const short = await model.generate('Once upon a time', { maxTokens: 3 })
      assert.deepEqual([short.finishReason, short.usage.completionTokens], ['length', 3])
    })

    test('stops when it is aborted, and answers the next', async () => {
      const controller = new AbortController()
      const generation = model.generate('Once upon a time', { maxTokens: 400, signal: controller.signal })
      setTimeout(() => controller.abort(), 20)
      await assert.rejects(generation, { name: 'AbortError' })
      assert.equal((await model.chat(FRANCE)).text, 'The capital of France is Paris.')
    })

    test('refuses by name what the runtime cannot do', async () => {
      for (const [option, value] of [
        ['seed', 1],
        ['grammar', 'root ::= "x"'],
        ['jsonSchema', { type: 'object' }],
        ['regex', 'x'],
        ['logprobs', true],
        ['minP', 0.2],
      ]) {
        await assert.rejects(model.generate('x', { [option]: value }), (error) => {
          assert.equal(error.code, 'unsupported')
          assert.match(error.message, new RegExp(option))
          return true
        })
      }
    })

    test('gives the hidden states of a prompt, and vectors made of them', async () => {
      const { values, rows, size } = await model.generate('a cat', { mode: 'last-hidden-layer' })
      assert.equal(rows, model.tokenize('a cat', { addSpecial: true }).length)
      assert.equal(values.length, rows * size)
      const { embeddings } = await model.embed(['a cat', 'a dog'])
      assert.deepEqual(
        embeddings.map((vector) => vector.length),
        [size, size],
      )
    })

    test('saves the cache of a prompt and takes it up again', async () => {
      // A runtime of 1.2 saves it when the answer ends by itself, one of 1.3 at maxTokens too.
      for (const maxTokens of abi === '1.3' ? [1, 2, 40] : [400]) {
        for (const prompt of ['Once upon a time', 'Once upon a time there']) {
          const save = join(folder, `${abi}-${maxTokens}-${prompt.length}.cache`)
          await model.generate(prompt, { maxTokens, promptCache: { save }, temperature: abi === '1.3' ? 2 : 0 })
          assert.ok(existsSync(save), `${maxTokens} ${prompt}`)
          await model.loadPromptCache(save)
          assert.ok((await model.generate(prompt, { maxTokens: 4 })).text)
          await model.releasePromptCache()
        }
      }
    })

    test('refuses a prompt cache that is not there', async () => {
      await model.clearCache()
      await model.releasePromptCache()
      await assert.rejects(model.loadPromptCache(join(folder, 'none')), { code: 'model-invalid' })
    })

    test('tells what it does in events', async () => {
      const client = new RKLLMClient({ modelPath, libraryPath: standinLibrary(abi), contextSize: 512, ...GREEDY })
      const heard = []
      for (const name of ['initialized', 'inference:start', 'inference:complete', 'inference:abort', 'destroyed']) {
        client.on(name, () => heard.push(name))
      }
      await client.initialize()
      await client.generate('Once upon a time', { maxTokens: 2 })
      await client.chat(FRANCE)
      await client.close()
      const answer = ['inference:start', 'inference:complete']
      assert.deepEqual(heard, ['initialized', ...answer, ...answer, 'destroyed'])
    })

    test('tells of each token and of how far an answer is', async () => {
      const client = await RKLLMClient.load(modelPath, { libraryPath: standinLibrary(abi), contextSize: 512, ...GREEDY })
      let text = ''
      const progress = []
      client.on('inference:token', (piece) => (text += piece))
      client.on('inference:progress', (state) => progress.push(state))
      const result = await client.chat(FRANCE)
      await client.close()
      assert.equal(text, result.text)
      assert.equal(progress[0].completionTokens, 1)
      for (const state of progress) {
        assert.ok(state.elapsedMs >= 0 && state.tokensPerSecond >= 0, JSON.stringify(state))
        assert.ok(state.completionTokens <= result.usage.completionTokens)
      }
    })

    test('ends every answer at abort(), those of chat() too', async () => {
      const generations = [model.generate('Once upon a time', { maxTokens: 400 }), model.chat(FRANCE)]
      model.abort()
      for (const generation of generations) assert.equal((await generation).finishReason, 'cancelled')
      assert.equal((await model.chat(FRANCE)).text, 'The capital of France is Paris.')
    })
  })
}

test('a model is refused where there is no runtime, with the places that were looked at', async () => {
  await assert.rejects(loadModel(modelPath, { libraryPath: join(folder, 'librkllmrt.so') }), (error) => {
    assert.equal(error.code, 'library-unavailable')
    assert.match(error.message, /librkllmrt\.so/)
    return true
  })
})

test('each class takes files of its own kind only', async () => {
  await assert.rejects(LlamaModel.load(modelPath), { code: 'model-invalid' })
  await assert.rejects(RKLLMClient.load(bundledModelPath()), { code: 'model-invalid' })
})

test('options of the one engine are refused by the other', async () => {
  await assert.rejects(loadModel(bundledModelPath(), { npuDomain: 1 }), { code: 'unsupported' })
  await assert.rejects(loadModel(modelPath, { kvCells: 512 }), { code: 'unsupported' })
})

for (const abi of ['1.2', '1.3']) {
  describe(`what a runtime of ${abi} tells`, () => {
    const options = { libraryPath: standinLibrary(abi), contextSize: 512 }

    test('of the machine is what npuStatus() and diagnose() tell', async () => {
      const [status, { soc }] = await Promise.all([npuStatus(), diagnose()])
      for (const isolate of [true, false]) {
        const model = await RKLLMClient.load(modelPath, { ...options, isolate })
        const { driverVersion, soc: name, npuCores, reasons } = model.runtimeInfo()
        await model.close()
        assert.equal(driverVersion, status.driverVersion.value)
        assert.equal(name, soc.value?.name ?? null)
        assert.equal(npuCores, soc.value?.npuCores ?? null)
        const unknown = Object.entries({ driverVersion, soc: name, npuCores }).filter(([, value]) => value === null)
        assert.deepEqual(Object.keys(reasons).sort(), unknown.map(([key]) => key).sort())
        for (const reason of Object.values(reasons)) assert.ok(reason.length > 0)
      }
    })

    test('of the context is bounded by the files beside the model', async () => {
      const model = await RKLLMClient.load(modelPath, options)
      const { maxContextSize, contextSizeTrained } = model.info
      await model.close()
      assert.equal(maxContextSize, Math.min(contextSizeTrained, 16_384))
      const alone = join(folder, `alone-${abi}`, 'alone.rkllm')
      mkdirSync(dirname(alone))
      copyFileSync(modelPath, alone)
      const bare = await RKLLMClient.load(alone, options)
      assert.equal(bare.info.maxContextSize, null)
      await bare.close()
    })

    test('of a model that it does not open is where the message says', async () => {
      process.env.RKLLMJS_STANDIN_PLATFORM = 'rk3576'
      try {
        const lines = []
        const onLog = (level, line) => lines.push(line)
        await assert.rejects(RKLLMClient.load(modelPath, { ...options, isolate: true, onLog }), (error) => {
          assert.equal(error.code, 'model-invalid')
          assert.match(error.message, /own log, which onLog hears, says why$/)
          return true
        })
        for (let i = 0; i < 100 && lines.length === 0; i += 1) await sleep(20)
        assert.match(lines.join('\n'), /target_platform does not match/)
        const { end, stdout } = await run('refused-model', [standinLibrary(abi), modelPath])
        assert.equal(end, 'exit 0')
        assert.match(stdout, /target_platform does not match/)
        assert.match(stdout, /own log, on the output of this process, says why; with isolate: true onLog hears it/)
      } finally {
        delete process.env.RKLLMJS_STANDIN_PLATFORM
      }
    })
  })
}

test('nBatch is 1, and more is refused with the reason', async () => {
  for (const abi of ['1.2', '1.3']) {
    const options = { libraryPath: standinLibrary(abi), contextSize: 512 }
    await (await RKLLMClient.load(modelPath, { ...options, nBatch: 1 })).close()
    await assert.rejects(RKLLMClient.load(modelPath, { ...options, nBatch: 4 }), (error) => {
      assert.equal(error.code, 'unsupported')
      assert.equal(error.details.option, 'nBatch')
      assert.match(error.message, /^nBatch must be 1: .*none can be cancelled/)
      return true
    })
    for (const nBatch of [0, 1.5, 17]) {
      await assert.rejects(RKLLMClient.load(modelPath, { ...options, nBatch }), { code: 'invalid-request' })
    }
  }
  await assert.rejects(loadModel(bundledModelPath(), { nBatch: 1 }), { code: 'unsupported' })
})

for (const abi of ['1.2', '1.3']) {
  for (const isolate of [true, false]) {
    describe(`a kept conversation on a runtime of ${abi} with isolate: ${isolate}`, () => {
      const load = (contextSize) =>
        RKLLMClient.load(modelPath, { libraryPath: standinLibrary(abi), contextSize, isolate, ...GREEDY })

      test('that fills the context ends with the reason length', async () => {
        const model = await load(48)
        const { finishReason, usage } = await model.generate('Once upon a time', { keepHistory: true })
        await model.close()
        assert.equal(finishReason, 'length')
        assert.ok(usage.promptTokens + usage.completionTokens >= 48, JSON.stringify(usage))
      })

      test('whose answer ends by itself has the reason stop, and so has a second one', async () => {
        const model = await load(512)
        for (const question of ['What is the capital of France?', 'And what do horses eat?']) {
          const { finishReason } = await model.generate(question, { keepHistory: true })
          assert.equal(finishReason, 'stop')
        }
        await model.close()
      })
    })
  }
}

for (const isolate of [true, false]) {
  describe(`the toolkit that made a model, with isolate: ${isolate}`, () => {
    const model = (version) => modelOfToolkit(join(folder, `toolkit-${version}-${isolate}`), version)
    const library = (version) => {
      const from = standinLibrary(version.slice(0, 3))
      return libraryOfVersion(from, version, join(folder, `librkllmrt-${version}-${isolate}.so`))
    }

    test('must not be newer than the runtime', async () => {
      for (const [toolkit, runtime] of [['1.3.1', '1.2.3'], ['1.3.1', '1.3.0'], ['1.2.3', '1.2.1']]) {
        const options = { libraryPath: library(runtime), contextSize: 512, isolate }
        await assert.rejects(RKLLMClient.load(model(toolkit), options), (error) => {
          assert.equal(error.code, 'model-invalid')
          assert.deepEqual([error.details.toolkit, error.details.runtime], [toolkit, runtime])
          assert.ok(error.message.includes(`version ${toolkit} of the toolkit, and the runtime is ${runtime}`))
          return true
        })
      }
    })

    test('is believed less than what runtimeVersion says', async () => {
      const options = { libraryPath: library('1.3.0'), contextSize: 512, isolate, runtimeVersion: '1.3.1' }
      const client = await RKLLMClient.load(model('1.3.1'), options)
      assert.equal(client.runtimeInfo().version, '1.3.0')
      await client.close()
    })

    test('is warned of in onLog where the runtime is known to misread its models', async () => {
      const warnings = async (toolkit, runtime) => {
        const lines = []
        const onLog = (level, line) => level === 'warn' && lines.push(line)
        const options = { libraryPath: library(runtime), contextSize: 512, isolate, onLog }
        await (await RKLLMClient.load(model(toolkit), options)).close()
        await sleep(20)
        return lines.filter((line) => line.includes('misread'))
      }
      const [warning, ...others] = await warnings('1.2.2', '1.3.0')
      assert.match(warning, /runtime 1\.3\.0 .*toolkit 1\.2\.2.*runtime 1\.3\.1 reads them/)
      assert.equal(others.length, 0)
      assert.deepEqual(await warnings('1.2.2', '1.2.3'), [])
      assert.deepEqual(await warnings('1.2.1', '1.3.0'), [])
    })
  })
}

// Prompt caches of the NPU's runtime: what they belong to is checked before the runtime sees them.
import assert from 'node:assert/strict'
import { appendFileSync, copyFileSync, existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'

import { RKLLMClient } from '../dist/index.mjs'
import { standinLibrary, standinModelPath } from '../dist/standin.mjs'
import { modelOfToolkit } from './support/npu-files.mjs'

const GREEDY = { temperature: 0, topK: 1, repeatPenalty: 1 }
const PROMPT = 'Once upon a time'
const RECORD = '.rkllmjs.json'

let folder
before(() => {
  folder = mkdtempSync(join(tmpdir(), 'rkllmjs-cache-'))
})
after(() => rmSync(folder, { recursive: true }))

const load = (abi, { modelPath = standinModelPath(), ...options } = {}) =>
  RKLLMClient.load(modelPath, { libraryPath: standinLibrary(abi), contextSize: 512, ...GREEDY, ...options })

/** Runs `use` on a model that is closed afterwards. */
async function withModel(abi, options, use) {
  const model = await load(abi, options)
  try {
    return await use(model)
  } finally {
    await model.close()
  }
}

const isRefused = (part, pattern) => (error) => {
  assert.equal(error.code, 'model-invalid', String(error))
  assert.equal(error.details.part, part, String(error))
  assert.match(error.message, pattern)
  return true
}

for (const abi of ['1.2', '1.3']) {
  for (const isolate of [true, false]) {
    describe(`a prompt cache of a runtime of ${abi} with isolate: ${isolate}`, () => {
      const cache = () => join(folder, `${abi}-${isolate}.cache`)
      const refused = (options, part, pattern, use = (model) => model.loadPromptCache(cache())) =>
        withModel(abi, { isolate, ...options }, (model) => assert.rejects(use(model), isRefused(part, pattern)))

      before(() =>
        withModel(abi, { isolate }, (model) => model.generate(PROMPT, { maxTokens: 400, promptCache: { save: cache() } })),
      )

      test('has a record beside it', () => {
        const record = JSON.parse(readFileSync(cache() + RECORD, 'utf8'))
        assert.deepEqual(Object.keys(record).sort(), ['adapter', 'cache', 'format', 'model', 'runtime', 'template'])
        assert.equal(record.runtime, abi === '1.3' ? '1.3.1' : '1.2.3')
      })

      test('is loaded by the model that saved it, whichever process it runs in', async () => {
        for (const isolated of [true, false]) {
          await withModel(abi, { isolate: isolated }, async (model) => {
            const expected = (await model.generate(PROMPT, { maxTokens: 12 })).text
            await model.clearCache()
            await model.loadPromptCache(cache())
            assert.equal((await model.generate(PROMPT, { maxTokens: 12 })).text, expected)
            await model.releasePromptCache()
          })
        }
      })

      test('is refused by another model', async () => {
        const modelPath = modelOfToolkit(join(folder, `${abi}-${isolate}`), '1.2.0')
        await refused({ modelPath }, 'model', /another model; save it again with promptCache/)
      })

      test('is refused under another chat template', async () => {
        await refused({ chatTemplate: '{{ messages[0].content }}' }, 'template', /another chat template/)
        await refused({}, 'template', /another chat template/, async (model) => {
          await model.setChatTemplate('', 'User: ', '')
          await model.loadPromptCache(cache())
        })
      })

      test('is refused without its record, and with one that is none', async () => {
        const alone = join(folder, `${abi}-${isolate}.alone`)
        const loadAlone = (model) => model.loadPromptCache(alone)
        copyFileSync(cache(), alone)
        await refused({}, 'record', /rkllmjs\.json is missing/, loadAlone)
        for (const [text, pattern] of [
          ['', /is empty: the saving did not end/],
          ['{', /is no record/],
          ['{"format": 2}', /another version of this library/],
          [' '.repeat(100_000), /is no record/],
        ]) {
          writeFileSync(alone + RECORD, text)
          await refused({}, 'record', pattern, loadAlone)
        }
      })

      test('is refused once it was changed', async () => {
        const changed = join(folder, `${abi}-${isolate}.changed`)
        copyFileSync(cache(), changed)
        copyFileSync(cache() + RECORD, changed + RECORD)
        appendFileSync(changed, 'more')
        await refused({}, 'cache', /not as it was saved/, (model) => model.loadPromptCache(changed))
      })

      test('that cannot be saved is refused before the answer', async () => {
        await withModel(abi, { isolate }, async (model) => {
          for (const save of [join(folder, 'none', 'a.cache'), folder]) {
            await assert.rejects(model.generate(PROMPT, { maxTokens: 4, promptCache: { save } }), (error) => {
              assert.equal(error.code, 'invalid-request')
              assert.match(error.message, /^promptCache /)
              return true
            })
          }
          assert.ok((await model.generate(PROMPT, { maxTokens: 4 })).text)
        })
      })

      test('that was not saved leaves the one that was there', async () => {
        await withModel(abi, { isolate, chatTemplate: '{{ messages[0].content }}' }, async (model) => {
          const stopped = model.generate('x'.repeat(40_000), { promptCache: { save: cache() } })
          await assert.rejects(stopped)
        })
        await withModel(abi, { isolate }, (model) => model.loadPromptCache(cache()))
      })
    })
  }
}

test('a prompt cache of one version of the runtime is refused by another', async () => {
  assert.ok(existsSync(join(folder, '1.2-true.cache')))
  await withModel('1.3', {}, (model) =>
    assert.rejects(model.loadPromptCache(join(folder, '1.2-true.cache')), (error) => {
      isRefused('runtime', /another version of the NPU runtime/)(error)
      assert.deepEqual([error.details.saved, error.details.present], ['1.2.3', '1.3.1'])
      return true
    }),
  )
})

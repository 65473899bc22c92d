// Images in prompts of models on an NPU. The vectors of words' tokens stand for what a vision encoder makes: a
// model that is given them in the place of <image> says what it says to the words.
import assert from 'node:assert/strict'
import { copyFileSync, mkdirSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { after, before, describe, test } from 'node:test'

import { LlamaModel, RKLLMClient, bundledModelPath, loadModel } from '../dist/index.mjs'
import { standinLibrary, standinModelPath } from '../dist/standin.mjs'
import { rowsOf } from './support/embedding-rows.mjs'
import { isError } from './support/expect.mjs'

const GREEDY = { temperature: 0, topK: 1, repeatPenalty: 1 }
const FRANCE = 'What is the capital of France?'
const PARIS = 'The capital of France is Paris.'
const CAIRO = 'The capital of Egypt is Cairo.'

/** A runtime may be silent at the end; then nobody knows what was cached. */
const saysWhatItComputed = !(process.env.RKLLMJS_STANDIN_TRAP ?? '').includes('null-finish')

let folder
before(() => {
  folder = mkdtempSync(join(tmpdir(), 'rkllmjs-image-'))
})
after(() => rmSync(folder, { recursive: true }))

const load = (abi, { modelPath = standinModelPath(), ...options } = {}) =>
  RKLLMClient.load(modelPath, { libraryPath: standinLibrary(abi), contextSize: 512, ...GREEDY, ...options })

/** `text` with the vectors of `words` for images, all of them as many. */
function imagesOf(model, text, ...words) {
  const tokens = words.map((word) => Array.from(model.tokenize(word)))
  assert.equal(new Set(tokens.map(({ length }) => length)).size, 1, 'images of different sizes')
  return { text, image: { embedding: rowsOf(tokens.flat()), tokensPerImage: tokens[0].length, count: words.length } }
}

/** How the refusal of an option begins. */
const blames = (code, option) => (error) => {
  isError(code)(error)
  assert.equal(error.details.option, option, error.message)
  assert.ok(error.message.includes(option), error.message)
  assert.doesNotMatch(error.message, /[a-z]_[a-z]/)
  return true
}

for (const abi of ['1.2', '1.3']) {
  for (const isolate of [true, false]) {
    describe(`an image on a runtime of ${abi} with isolate: ${isolate}`, () => {
      let model
      before(async () => {
        model = await load(abi, { isolate })
      })
      after(() => model.close())

      test('says what its words say, as text and as vectors', async () => {
        const { text, usage } = await model.generate(imagesOf(model, 'What is<image> of France?', ' the capital'))
        assert.equal(text, PARIS)
        const asText = await model.generate(FRANCE, { role: 'user' })
        const prompt = model.applyChatTemplate([{ role: 'user', content: FRANCE }])
        const asVectors = await model.generate(rowsOf(model.tokenize(prompt, { parseSpecial: true })))
        assert.deepEqual([asText.text, asVectors.text], [text, text])
        assert.deepEqual([usage.promptTokens, usage.completionTokens], [asText.usage.promptTokens, asText.usage.completionTokens])
      })

      test('and another one stand where their tags do', async () => {
        for (const [text, ...words] of [
          ['What<image> the<image> of France?', ' is', ' capital'],
          ['What<image><image>?', ' is the capital of', ' France'],
        ]) {
          assert.equal((await model.generate(imagesOf(model, text, ...words))).text, PARIS)
        }
      })

      test('is not taken for the one before it', async () => {
        const ask = (country) => model.generate(imagesOf(model, 'What is the capital of<image>?', country))
        await model.clearCache()
        const said = []
        for (const country of [' France', ' Egypt', ' Egypt', ' France']) said.push(await ask(country))
        assert.deepEqual(said.map(({ text }) => text), [PARIS, CAIRO, CAIRO, PARIS])
        // Another image begins with an empty cache; what there is of the same one is used.
        const cached = said.map(({ usage }) => usage.cachedTokens > 0)
        assert.deepEqual(cached, [false, false, saysWhatItComputed, false])
      })

      test('is cancelled as text is, and the next one is answered', async () => {
        const prompt = imagesOf(model, 'What is the capital of<image>?', ' Egypt')
        const controller = new AbortController()
        const aborted = model.generate(prompt, { signal: controller.signal })
        controller.abort()
        await assert.rejects(aborted, { name: 'AbortError' })
        for await (const part of model.generate(prompt)) if (part.type === 'text-delta') break
        const generation = model.generate(prompt)
        model.abort()
        assert.equal((await generation).finishReason, 'cancelled')
        assert.equal((await model.generate(prompt)).text, CAIRO)
      })

      test('is counted where its answer is cut short', async () => {
        const prompt = imagesOf(model, 'What is the capital of<image>?', ' Egypt')
        const { finishReason, usage } = await model.generate(prompt, { maxTokens: 3 })
        assert.deepEqual([finishReason, usage.completionTokens], ['length', 3])
        assert.ok(usage.promptTokens >= prompt.image.tokensPerImage + 6, JSON.stringify(usage))
      })

      test('belongs to a kept conversation', async () => {
        const first = await model.generate(imagesOf(model, 'What is<image> of France?', ' the capital'), { keepHistory: true })
        const before = await model.cacheSize()
        const second = await model.generate(imagesOf(model, 'What is the capital of<image>?', ' Egypt'), { keepHistory: true })
        assert.deepEqual([first.text, second.text], [PARIS, CAIRO])
        assert.ok((await model.cacheSize()) > before + 10)
        await model.clearCache()
      })

      test('takes the options that text takes', async () => {
        const { text: question, image } = imagesOf(model, 'What is<image> of France?', ' the capital')
        const prompt = { text: question, image: { ...image, width: 28, height: 56 } }
        const { text } = await model.generate(prompt, { role: 'user', enableThinking: false, stop: ['Paris'] })
        assert.equal(text, 'The capital of France is ')
      })

      test('that cannot fit the context is refused with the numbers', async () => {
        const image = { embedding: new Float32Array(510 * model.info.embeddingLength), tokensPerImage: 510 }
        await assert.rejects(model.generate({ text: 'What is in <image>?', image }), (error) => {
          assert.deepEqual([error.details.promptTokens > 510, error.details.contextSize], [true, 512])
          return isError('context-exceeded')(error)
        })
      })

      test('that saves its cache is refused', async () => {
        const prompt = imagesOf(model, 'What is<image> of France?', ' the capital')
        const promptCache = { save: join(folder, 'image.cache') }
        await assert.rejects(model.generate(prompt, { promptCache }), blames('unsupported', 'promptCache'))
      })

      test('has the texts of imageTags round it', async () => {
        const tagged = await load(abi, { isolate, imageTags: { start: ' is', end: ' capital', content: '<|image_pad|>' } })
        const { text } = await tagged.generate(imagesOf(tagged, 'What<image> of France?', ' the'))
        const half = await load(abi, { isolate, imageTags: { end: ' capital' } })
        const other = await half.generate(imagesOf(half, 'What is<image> of France?', ' the'))
        await Promise.all([tagged.close(), half.close()])
        assert.deepEqual([text, other.text], [PARIS, PARIS])
      })

      test('is taken by a model whose files tell no length of vectors', async () => {
        const alone = join(folder, `${abi}-${isolate}`, 'alone.rkllm')
        mkdirSync(dirname(alone))
        copyFileSync(standinModelPath(), alone)
        const bare = await load(abi, { modelPath: alone, isolate })
        const given = imagesOf(model, 'What is<image> of France?', ' the capital')
        assert.equal((await bare.generate(given)).text, PARIS)
        const image = { ...given.image, embedding: given.image.embedding.subarray(1) }
        await assert.rejects(bare.generate({ ...given, image }), blames('invalid-request', 'image.embedding'))
        await bare.close()
      })
    })
  }
}

describe('what is wrong with an image', () => {
  let model
  before(async () => {
    model = await load('1.3')
  })
  after(() => model.close())

  const embedding = () => new Float32Array(2 * 256).fill(0.1)
  const refusals = (text, image, code, option) =>
    assert.rejects(model.generate({ text, image }), blames(code, option), `${text} ${JSON.stringify(image)}`)

  test('is told for its numbers', async () => {
    for (const [name, most] of [['count', 256], ['tokensPerImage', 16_384], ['width', 65_536], ['height', 65_536]]) {
      const size = name === 'width' || name === 'height' ? { width: 1, height: 1 } : {}
      for (const value of [0, -1, 1.5, NaN, Infinity, most + 1, '1', null, true, []]) {
        const image = { embedding: embedding(), tokensPerImage: 2, ...size, [name]: value }
        await refusals('<image>', image, 'invalid-request', `image.${name}`)
      }
    }
    await refusals('<image>', { embedding: embedding() }, 'invalid-request', 'image.tokensPerImage')
    for (const [given, missing] of [['width', 'height'], ['height', 'width']]) {
      const image = { embedding: embedding(), tokensPerImage: 2, [given]: 28 }
      await refusals('<image>', image, 'invalid-request', `image.${missing}`)
    }
  })

  test('is told for its vectors', async () => {
    for (const length of [0, 1, 256, 511, 513, 1024]) {
      const image = { embedding: new Float32Array(length), tokensPerImage: 2 }
      await refusals('<image>', image, 'invalid-request', 'image.embedding')
    }
    for (const wrong of [undefined, null, [0.5], new Float64Array(512), new Uint32Array(512), 'x']) {
      await refusals('<image>', { embedding: wrong, tokensPerImage: 2 }, 'invalid-request', 'image.embedding')
    }
    for (const wrong of [NaN, Infinity, -Infinity]) {
      const image = { embedding: embedding().fill(wrong, 511), tokensPerImage: 2 }
      await refusals('<image>', image, 'invalid-request', 'image.embedding')
    }
  })

  test('is told for its text, which has a tag for each image', async () => {
    const two = { embedding: embedding(), tokensPerImage: 1, count: 2 }
    const one = { embedding: embedding(), tokensPerImage: 2 }
    for (const [text, image] of [['none', one], ['<image><image>', one], ['<image>', two], ['<image><image><image>', two], ['<IMAGE>', one]]) {
      await refusals(text, image, 'invalid-request', 'text')
    }
    await refusals('a\0<image>', one, 'invalid-request', 'text')
    for (const text of [undefined, null, 1, ['<image>']]) await refusals(text, one, 'invalid-request', 'text')
  })

  test('is told for what has no place in it', async () => {
    const image = { embedding: embedding(), tokensPerImage: 2 }
    await assert.rejects(
      model.generate({ text: '<image>', image: { ...image, tokenPerImage: 2 } }),
      isError('invalid-request', /unknown option "image\.tokenPerImage"; did you mean "image\.tokensPerImage"\?/),
    )
    for (const medium of ['video', 'audio']) {
      await assert.rejects(model.generate({ text: '<image>', image, [medium]: {} }), blames('unsupported', medium))
    }
    for (const wrong of [undefined, null, 'x', [image]]) {
      await assert.rejects(model.generate({ text: '<image>', image: wrong }), blames('invalid-request', 'image'))
    }
    for (const mode of ['last-hidden-layer', 'logits']) {
      await assert.rejects(model.generate({ text: '<image>', image }, { mode }), blames('invalid-request', 'mode'))
    }
  })

  test('leaves the model as it was', async () => {
    assert.equal((await model.generate(imagesOf(model, 'What is<image> of France?', ' the capital'))).text, PARIS)
  })
})

test('texts round images that are none are refused by a load', async () => {
  for (const name of ['start', 'end', 'content']) {
    for (const value of [1, null, [], 'a\0b', 'x'.repeat(257)]) {
      await assert.rejects(load('1.2', { imageTags: { [name]: value } }), blames('invalid-request', `imageTags.${name}`))
    }
  }
  for (const imageTags of [1, 'x', [], true]) await assert.rejects(load('1.2', { imageTags }), blames('invalid-request', 'imageTags'))
  await assert.rejects(load('1.2', { imageTags: { begin: 'x' } }), isError('invalid-request', /"imageTags\.begin"/))
})

test('models of llama.cpp refuse images and what stands round them', async () => {
  const model = await LlamaModel.load(bundledModelPath(), { contextSize: 256 })
  const image = { embedding: new Float32Array(256), tokensPerImage: 1 }
  await assert.rejects(model.generate({ text: '<image>', image }), blames('unsupported', 'image'))
  await model.close()
  await assert.rejects(loadModel(bundledModelPath(), { imageTags: { start: 'x' } }), blames('unsupported', 'imageTags'))
})

// The vectors of embed(): how those of a text's tokens become one, and that company changes nothing.
import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { bundledModelPath, loadModel } from 'rkllmjs'
import { isError } from './support/expect.mjs'
import { syntheticModel } from './support/synthetic.mjs'

const load = (file, options) => loadModel(file, { threads: 1, contextSize: 256, embedding: true, ...options })
const encoder = () => syntheticModel('embed', '--type', 'f32')
const decoder = () => syntheticModel('micro', '--type', 'f32')

const POOLINGS = ['mean', 'cls', 'last']
const cosine = (a, b) => a.reduce((sum, value, i) => sum + value * b[i], 0)

function assertNear(found, expected, what, most = 1e-3) {
  assert.equal(found.length, expected.length, what)
  for (const [i, value] of found.entries()) {
    assert.ok(Math.abs(value - expected[i]) < most, `${what}, number ${i}: ${value} and ${expected[i]}`)
  }
}

/** What one pooling makes of texts, not normalised. */
async function vectors(file, pooling, texts) {
  const model = await load(file, { pooling })
  const { embeddings } = await model.embed(texts, { normalize: false })
  await model.close()
  return embeddings
}

describe('pooling', () => {
  test('takes the first, the last or the mean of the vectors of the tokens', async () => {
    // A model that looks back alone has for each token the vector that ends the text up to it.
    const words = [' the', ' of', ' in', ' is', ' to']
    const texts = words.map((_, i) => words.slice(0, i + 1).join(''))
    const model = await load(decoder())
    const lengths = texts.map((text) => model.tokenize(text, { addSpecial: true }).length)
    await model.close()
    assert.deepEqual(lengths, [2, 3, 4, 5, 6], 'a token each after the one that begins every text')
    const [last, first, mean] = await Promise.all(['last', 'cls', 'mean'].map((name) => vectors(decoder(), name, texts)))
    for (const vector of first) assertNear(vector, first[0], 'the first token is the same')
    const ofTokens = [first[0], ...last]
    for (const [i, vector] of mean.entries()) {
      const seen = ofTokens.slice(0, i + 2)
      const expected = Array.from(vector, (_, at) => seen.reduce((sum, one) => sum + one[at], 0) / seen.length)
      assertNear(vector, expected, `the mean of text ${i}`)
    }
    assert.ok(Math.max(...last[0].map((value, i) => Math.abs(value - last[4][i]))) > 0.01, 'the last tokens differ')
  })

  test('is what the file says where the caller says nothing', async () => {
    const texts = ['a cat', 'the capital of france is paris']
    const [own, mean, cls] = await Promise.all([undefined, 'mean', 'cls'].map((name) => vectors(encoder(), name, texts)))
    for (const i of texts.keys()) {
      assertNear(own[i], mean[i], `text ${i}`, 1e-5)
      assert.ok(Math.max(...own[i].map((value, at) => Math.abs(value - cls[i][at]))) > 0.01)
    }
  })
})

for (const [what, file, alike] of [
  ['an encoder', encoder, 0.99999],
  ['a decoder', decoder, 0.99999],
  // Its weights have eight bits, and so have the numbers they are multiplied with: 0.993 was seen.
  ['the bundled model', bundledModelPath, 0.98],
]) {
  for (const pooling of POOLINGS) {
    test(`${what} makes of a batch what it makes of each text alone, pooled by ${pooling}`, async () => {
      const model = await load(file(), { pooling })
      // As many as one computation takes, then several computations.
      for (const count of [16, 37]) {
        const texts = Array.from({ length: count }, (_, i) => `the cat has ${i} dogs and `.repeat(1 + (i % 6)))
        const { embeddings, usage } = await model.embed(texts)
        const together = await model.embed(texts, { dimensions: 24, normalize: false })
        let tokens = 0
        for (const [i, text] of texts.entries()) {
          const alone = await model.embed(text)
          tokens += alone.usage.promptTokens
          assert.ok(cosine(alone.embeddings[0], embeddings[i]) > alike, `text ${i} of ${count}`)
          const whole = (await model.embed(text, { normalize: false })).embeddings[0]
          assert.equal(together.embeddings[i].length, 24)
          assertNear(together.embeddings[i], whole.slice(0, 24), `the cut text ${i}`, Math.hypot(...whole) * Math.sqrt(2 - 2 * alike))
        }
        assert.equal(usage.promptTokens, tokens)
      }
      await model.close()
    })
  }
}

test('a model that looks positions up takes no context with more of them', async () => {
  await assert.rejects(load(encoder(), { contextSize: 513 }), isError('invalid-request', /contextSize must be at most 512/))
  const model = await load(encoder(), { contextSize: 512 })
  await assert.rejects(model.embed('the '.repeat(600)), isError('context-exceeded'))
  await model.embed('a')
  await model.close()
})

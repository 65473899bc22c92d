// perplexity(): llama.cpp's formula, computed here a second time from log probabilities of answers.
import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import { loadModel, perplexity } from 'rkllmjs'
import { isError, until } from './support/expect.mjs'
import { microModelPath, openSlow, openTiny } from './support/models.mjs'

const STORY = 'Once upon a time there was a little girl who lived in a small house near the sea. She liked cats. '

describe('perplexity()', () => {
  let model
  before(async () => {
    model = await openTiny({ contextSize: 256, maxSequences: 2 })
  })
  after(() => model.close())

  /** The log probability of `token` after `tokens`, asked of an answer. */
  async function logprob(tokens, token) {
    const { choices } = await model.generate(Uint32Array.from(tokens), { maxTokens: 1, logprobs: true, temperature: 0, logitBias: { [token]: 1e9 }, ignoreEos: true })
    assert.equal(choices[0].logprobs[0].token, token)
    return choices[0].logprobs[0].logprob
  }

  test('is the exponential of the mean surprise over the second half of each window', async () => {
    const contextSize = 16
    const tokens = [...model.tokenize(STORY, { addSpecial: true })].slice(0, 36)
    const text = model.detokenize(tokens)
    assert.deepEqual([...model.tokenize(text, { addSpecial: true })], tokens)
    const result = await perplexity(model, text, { contextSize })
    const surprises = []
    const start = model.tokenize('', { addSpecial: true })
    for (const from of [0, 16]) {
      const window = tokens.slice(from, from + contextSize)
      if (start.length > 0) window[0] = start[0]
      for (let at = contextSize / 2 + 1; at < contextSize; at += 1) surprises.push(-(await logprob(window.slice(0, at), window[at])))
    }
    const mean = surprises.reduce((sum, value) => sum + value, 0) / surprises.length
    assert.equal(result.tokens, surprises.length)
    assert.equal(result.windows, 2)
    assert.equal(result.promptTokens, 36)
    assert.equal(result.contextSize, contextSize)
    assert.ok(Math.abs(Math.log(result.perplexity) - mean) < 0.01, `${result.perplexity} is not ${Math.exp(mean)}`)
    const variance = surprises.reduce((sum, value) => sum + (value - mean) ** 2, 0) / surprises.length
    const error = result.perplexity * Math.sqrt(variance / (surprises.length - 1))
    assert.ok(Math.abs(result.standardError / error - 1) < 0.05)
  })

  test('is low for text of the kind the model knows, and high for noise', async () => {
    const known = await perplexity(model, 'The capital of France is Paris. A spider has 8 legs. '.repeat(12), { contextSize: 64 })
    const letters = Array.from({ length: 200 }, (_, i) => ((i * 7919) % 1009).toString(36)).join(' ')
    const noise = await perplexity(model, letters, { contextSize: 64 })
    assert.ok(known.perplexity > 1 && known.perplexity * 2 < noise.perplexity, `${known.perplexity}, ${noise.perplexity}`)
  })

  test('takes windows that are larger than a step', async () => {
    const wide = await loadModel(microModelPath(), { contextSize: 2048, maxSequences: 1, threads: 1 })
    const { perplexity: score, tokens, windows } = await perplexity(wide, 'the time of two years '.repeat(400), { contextSize: 1000 })
    assert.equal(tokens, windows * 499)
    assert.ok(score > 1, String(score))
    await wide.close()
  })

  test('is the same every time, and tells how far it is', async () => {
    const told = []
    const first = await perplexity(model, STORY.repeat(6), { contextSize: 32, onProgress: (fraction) => told.push(fraction) })
    assert.deepEqual(await perplexity(model, STORY.repeat(6), { contextSize: 32 }), first)
    assert.deepEqual(told, [...told].sort((a, b) => a - b))
    assert.equal(told.at(-1), 1)
  })

  test('is the same in a process of its own', async () => {
    const isolated = await openTiny({ contextSize: 256, maxSequences: 2, isolate: true })
    const [here, there] = [await perplexity(model, STORY.repeat(4), { contextSize: 32 }), await perplexity(isolated, STORY.repeat(4), { contextSize: 32 })]
    await isolated.close()
    assert.ok(Math.abs(here.perplexity - there.perplexity) < 1e-3)
  })

  test('refuses what it cannot score, naming what is wrong', async () => {
    await assert.rejects(perplexity(model, 'too short'), isError('invalid-request', /text is too short: it has \d+ tokens, and two windows of 256 need 512/))
    await assert.rejects(perplexity(model, ''), isError('invalid-request', /too short/))
    await assert.rejects(perplexity(model, 7), isError('invalid-request', /text must be a string/))
    await assert.rejects(perplexity({}, 'x'), isError('invalid-request', /model must be a loaded model/))
    for (const contextSize of [0, 7, 257, 16.5, NaN, Infinity]) {
      await assert.rejects(perplexity(model, STORY, { contextSize }), isError('invalid-request', /contextSize must be a whole number from 8 to 256/))
    }
    await assert.rejects(perplexity(model, STORY, { context: 8 }), isError('invalid-request', /unknown option/))
    await assert.rejects(perplexity(model, 'x'.repeat((16 << 20) + 1)), isError('payload-too-large'))
  })

  test('one text at a time: another is told so, and works afterwards', async () => {
    const both = [1, 2].map(() => perplexity(model, STORY.repeat(30), { contextSize: 64 }))
    const [refused, ...others] = (await Promise.allSettled(both)).filter(({ status }) => status === 'rejected')
    assert.deepEqual(others, [])
    isError('overloaded')(refused.reason)
    await perplexity(model, STORY.repeat(6), { contextSize: 64 })
  })

  test('is not for models that only read', async () => {
    const reader = await openTiny({ contextSize: 128, embedding: true })
    await assert.rejects(perplexity(reader, STORY.repeat(20), { contextSize: 16 }), isError('unsupported'))
    await reader.close()
  })
})

describe('perplexity() under way', () => {
  const LONG = 'the time of two years that people know '.repeat(3000)

  test('stops at a signal, with its reason, and the model answers as before', async () => {
    const model = await openSlow({ maxSequences: 1 })
    const stop = new AbortController()
    const reason = new Error('enough')
    const work = perplexity(model, LONG, { contextSize: 4096, signal: stop.signal })
    setTimeout(() => stop.abort(reason), 100)
    await assert.rejects(work, (error) => error === reason)
    await assert.rejects(perplexity(model, LONG, { signal: AbortSignal.abort(reason) }), (error) => error === reason)
    assert.equal((await model.generate('the', { maxTokens: 2, ignoreEos: true })).tokens.length, 2)
    await model.close()
  })

  test('lets answers go on between its steps', async () => {
    const model = await openSlow({ maxSequences: 2 })
    let windows = 0
    const work = perplexity(model, LONG, { contextSize: 512, onProgress: () => { windows += 1 } })
    const ended = assert.rejects(work, isError('closed'))
    await until(() => windows >= 1, 'a window was scored')
    const { tokens } = await model.generate('the', { maxTokens: 4, ignoreEos: true, temperature: 0 })
    assert.equal(tokens.length, 4)
    const during = windows
    await model.close()
    await ended
    assert.ok(during < 20, `the answer waited for ${during} windows`)
  })
})

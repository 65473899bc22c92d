// Speculative decoding: guesses change how many steps an answer takes, and nothing that is in it.
import assert from 'node:assert/strict'
import path from 'node:path'
import { after, before, describe, test } from 'node:test'
import { isError, partsOf, textOf, until, user } from './support/expect.mjs'
import { heldout } from './support/heldout.mjs'
import { openTiny } from './support/models.mjs'
import { syntheticModel } from './support/synthetic.mjs'
import { standinLibrary, standinModelPath } from 'rkllmjs/standin'
import { bundledModelPath, loadModel } from 'rkllmjs'

const draftModel = path.join(path.dirname(bundledModelPath()), 'rkllmjs-tiny-draft-q8_0.gguf')
const greedy = { temperature: 0, maxTokens: 60, cachePrompt: false }
const copy = [user('Repeat this exactly: nokplock prafloo searbil Klatstooklo gridre duwit mucar trindbla')]
/** Some of each skill. */
const prompts = heldout.filter((_, place) => place % 9 === 0).map(({ prompt }) => prompt)

/** The same request with and without guesses. */
async function both(ask, mode) {
  const plain = await ask({ mode: 'none' })
  assert.equal(plain.usage.draftTokens, undefined)
  return { plain, guessed: await ask({ mode }) }
}

const same = ({ plain, guessed }, what) => {
  assert.deepEqual(guessed.choices.map(({ text }) => text), plain.choices.map(({ text }) => text), what)
  assert.deepEqual(guessed.tokens, plain.tokens, what)
  assert.equal(guessed.finishReason, plain.finishReason, what)
}

for (const [mode, options] of [
  ['lookup', {}],
  ['draft', { draftModel }],
  ['draft', { draftModel, isolate: true }],
]) {
  describe(`speculative ${mode}${options.isolate ? ' in a process of its own' : ''}`, () => {
    let model
    before(async () => void (model = await openTiny({ ...options, maxSequences: 4 })))
    after(() => model.close())

    test('says what is said without it', async () => {
      assert.ok(prompts.length > 20)
      let accepted = 0
      for (const prompt of prompts) {
        const pair = await both((speculative) => model.generate(prompt, { ...greedy, speculative }), mode)
        same(pair, prompt)
        accepted += pair.guessed.usage.acceptedTokens ?? 0
      }
      assert.ok(accepted > 0)
    })

    for (const [what, more] of Object.entries({
      'a seed': { temperature: 1, seed: 7 },
      'penalties and mirostat': { temperature: 0.8, seed: 3, repeatPenalty: 1.3, mirostat: 2 },
      'a grammar': { grammar: 'root ::= ("yes " | "no ")+', ignoreEos: true, maxTokens: 30 },
      'a stop string': { stop: ['Klat', 'lived'] },
      'a stop token': { stopTokens: [300, 301, 302, 303, 304, 305] },
      'two choices': { n: 2, temperature: 1, seed: 5 },
      'a single token': { maxTokens: 1 },
    })) {
      test(`says the same with ${what}`, async () => {
        same(await both((speculative) => model.chat(copy, { ...greedy, ...more, speculative }), mode), 'copy')
        const story = [user('Tell me a story about a bear.')]
        same(await both((speculative) => model.chat(story, { ...greedy, ...more, speculative }), mode), 'story')
      })
    }

    test('reports the same log probabilities', async () => {
      const ask = (speculative) => model.chat(copy, { ...greedy, logprobs: true, topLogprobs: 2, speculative })
      const { plain, guessed } = await both(ask, mode)
      const [expected, got] = [plain, guessed].map(({ choices }) => choices[0].logprobs)
      assert.equal(got.length, expected.length)
      got.forEach(({ token, logprob }, place) => {
        assert.equal(token, expected[place].token)
        assert.ok(Math.abs(logprob - expected[place].logprob) < 0.02, `token ${place}`)
      })
    })

    test('takes far fewer steps to copy, and tells of its guesses', async () => {
      const steps = async (speculative) => {
        const before = model.stats()
        const { usage, tokens } = await model.chat(copy, { ...greedy, speculative })
        const { draftTokens, acceptedTokens } = model.stats()
        assert.equal(draftTokens - before.draftTokens, usage.draftTokens ?? 0)
        assert.equal(acceptedTokens - before.acceptedTokens, usage.acceptedTokens ?? 0)
        return { steps: model.stats().steps - before.steps, usage, tokens }
      }
      const plain = await steps({ mode: 'none' })
      const { steps: guessed, usage } = await steps({ mode })
      assert.ok(usage.acceptedTokens > 10 && usage.acceptedTokens <= usage.draftTokens, JSON.stringify(usage))
      assert.ok(guessed * 2 < plain.steps, `${guessed} steps instead of ${plain.steps}`)
      assert.equal(plain.steps - guessed, usage.acceptedTokens)
    })

    test('guesses without being asked to, several requests at once', async () => {
      const results = await Promise.all([1, 2, 3, 4, 5].map(() => model.chat(copy, greedy)))
      const plain = await model.chat(copy, { ...greedy, speculative: { mode: 'none' } })
      for (const { text } of results) assert.equal(text, plain.text)
      assert.ok(results.some(({ usage }) => usage.acceptedTokens > 0))
    })

    test('streams, and stops when it is told to', async () => {
      const plain = await model.chat(copy, { ...greedy, speculative: { mode: 'none' } })
      assert.equal(textOf(await partsOf(model.chat(copy, { ...greedy, speculative: { mode } }))), plain.text)
      for await (const part of model.chat(copy, { ...greedy, speculative: { mode } })) if (part.type === 'text-delta') break
      const reason = new Error('enough')
      const signal = AbortSignal.abort(reason)
      await assert.rejects(async () => await model.chat(copy, { ...greedy, signal }), reason)
      await until(() => model.stats().running === 0)
    })
  })
}

describe('speculative', () => {
  test('goes on in a context that shifts', async () => {
    for (const options of [{}, { draftModel }]) {
      const model = await openTiny({ contextSize: 64, contextOverflow: 'shift', ...options })
      const ask = (speculative) => model.generate('Once upon a time', { ...greedy, ignoreEos: true, maxTokens: 200, speculative })
      const { plain, guessed } = await both(ask, options.draftModel === undefined ? 'lookup' : 'draft')
      assert.equal(guessed.tokens.length, 200)
      assert.equal(guessed.usage.droppedTokens, plain.usage.droppedTokens)
      assert.equal(guessed.text, plain.text)
      await model.close()
    }
  })

  test('finds what it kept of a guessed answer in the next turn', async () => {
    const model = await openTiny()
    const { usage, text, message } = await model.chat(copy, { temperature: 0 })
    assert.ok(usage.acceptedTokens > 0)
    const next = [...copy, message, user('Say it again.')]
    const { usage: later, text: warm } = await model.chat(next, { temperature: 0 })
    assert.ok(later.cachedTokens > usage.promptTokens + 10, JSON.stringify({ later, text }))
    const { text: cold } = await model.chat(next, { temperature: 0, cachePrompt: false, speculative: { mode: 'none' } })
    assert.equal(warm, cold)
    await model.close()
  })

  test('makes no more guesses than it may', async () => {
    const model = await openTiny()
    const { usage } = await model.chat(copy, { ...greedy, speculative: { mode: 'lookup', maxTokens: 1 } })
    const most = usage.completionTokens / 2 + 1
    assert.ok(usage.draftTokens > 0 && usage.draftTokens <= most, JSON.stringify(usage))
    await model.close()
  })

  test('draft needs a draft model that fits', async () => {
    const model = await openTiny()
    await assert.rejects(async () => await model.generate('x', { speculative: { mode: 'draft' } }), isError('invalid-request', /draftModel/))
    await model.close()
    for (const isolate of [false, true]) {
      const load = (draft) => loadModel(bundledModelPath(), { draftModel: draft, isolate })
      await assert.rejects(load(syntheticModel('micro')), isError('invalid-request', /draftModel has (\d+ tokens|another vocabulary)/))
      await assert.rejects(load(`${draftModel}.not`), isError('model-not-found', /draft/))
    }
  })

  test('is refused by engines that cannot, and off where nobody asked', async () => {
    const options = { libraryPath: standinLibrary('1.3') }
    const model = await loadModel(standinModelPath(), options)
    await assert.rejects(async () => await model.generate('x', { speculative: { mode: 'lookup' } }), isError('unsupported', /speculative/))
    const { usage } = await model.generate('x', { maxTokens: 2, speculative: { mode: 'none' } })
    assert.equal(usage.draftTokens, undefined)
    await model.close()
    await assert.rejects(loadModel(standinModelPath(), { ...options, draftModel }), isError('unsupported', /draftModel/))
  })
})

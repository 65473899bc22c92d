// `suffix`: the model writes what belongs between the prompt and it.
import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import { isError, user } from './support/expect.mjs'
import { microModelPath, openTiny } from './support/models.mjs'
import { loadModel } from 'rkllmjs'

describe('suffix', () => {
  let model
  before(async () => {
    model = await loadModel(microModelPath(), { contextSize: 128, maxSequences: 2, threads: 1 })
  })
  after(() => model.close())

  const greedy = { temperature: 0, maxTokens: 6, ignoreEos: true }
  /** The prompt that the option stands for, token by token. */
  const prompt = (before, after) => {
    const control = (text) => [...model.tokenize(text, { parseSpecial: true })].at(-1)
    const [pre, suf, mid] = ['<|fim_prefix|>', '<|fim_suffix|>', '<|fim_middle|>'].map(control)
    const start = [...model.tokenize('', { addSpecial: true })]
    return Uint32Array.from([...start, pre, ...before, suf, ...model.tokenize(after), mid])
  }

  test('asks for the middle with the tokens of the vocabulary', async () => {
    const { tokens, usage } = await model.generate('time is', { ...greedy, suffix: ' a string' })
    const byHand = prompt(model.tokenize('time is'), ' a string')
    const expected = await model.generate(byHand, greedy)
    assert.deepEqual(tokens, expected.tokens)
    assert.equal(usage.promptTokens, byHand.length)
    assert.notDeepEqual(tokens, (await model.generate('time is', greedy)).tokens)
  })

  test('takes a prompt of tokens as it is', async () => {
    const given = model.tokenize('two years')
    const { tokens } = await model.generate(given, { ...greedy, suffix: ' away' })
    assert.deepEqual(tokens, (await model.generate(prompt(given, ' away'), greedy)).tokens)
  })

  test('may be empty, and so may the prompt', async () => {
    const { usage } = await model.generate('', { ...greedy, suffix: '' })
    assert.equal(usage.promptTokens, prompt([], '').length)
  })

  test('reads the spelling of a control token as text, on both sides', async () => {
    const plain = await model.generate('<|im_end|>', { ...greedy, suffix: '<|im_end|>' })
    const spelled = model.tokenize('<|im_end|>')
    assert.equal(plain.usage.promptTokens, prompt(spelled, '<|im_end|>').length)
    assert.ok(spelled.length > 1)
  })

  test('counts into the context', async () => {
    const long = model.generate('a', { suffix: ' the'.repeat(200) })
    await assert.rejects(long, isError('context-exceeded'))
  })

  test('is refused by name where it cannot be: a wrong type, chat(), a model without such tokens', async () => {
    await assert.rejects(model.generate('a', { suffix: 1 }), isError('invalid-request', /suffix must be a string/))
    await assert.rejects(model.chat([user('Hi')], { suffix: 'x' }), isError('unsupported', /suffix/))
    const tiny = await openTiny({ contextSize: 128, maxSequences: 1 })
    await assert.rejects(tiny.generate('a', { suffix: 'x' }), isError('unsupported', /suffix needs a model with tokens for filling in the middle/))
    await tiny.close()
  })
})

// Thoughts: whether a model is told to think, and for how long it may.
import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'

import { bundledModelPath, loadModel } from '../dist/index.mjs'
import { standinLibrary, standinModelPath } from '../dist/standin.mjs'
import { isError, partsOf, user } from './support/expect.mjs'

const GREEDY = { temperature: 0, topK: 1, repeatPenalty: 1 }

/** A template of a model that thinks, whose prompt opens the thoughts unless it is told not to. */
const OPENING = `{%- for m in messages %}{{- '<|im_start|>' + m.role + '\\n' }}
{%- if m.role == 'assistant' and m.reasoning_content %}{{- '<think>\\n' + m.reasoning_content + '\\n</think>\\n\\n' }}{%- endif %}
{{- m.content + '<|im_end|>\\n' }}{%- endfor %}
{%- if add_generation_prompt %}{{- '<|im_start|>assistant\\n<think>\\n' }}{%- if enable_thinking is defined and enable_thinking is false %}
{{- '\\n</think>\\n\\n' }}{%- endif %}{%- endif %}`
/** One of a model that thinks when it wants to. */
const CHOOSING = OPENING.replace("assistant\\n<think>\\n' }}", "assistant\\n' }}").replace("{{- '\\n</think>", "{{- '<think>\\n\\n</think>")
/** One that has a switch of its own name. */
const SWITCHED = CHOOSING.replace('enable_thinking is defined and enable_thinking is false', 'not thinking')

const COPY = user('Repeat this exactly: nokplock prafloo kadra')

function limitsThoughts(open) {
  let model
  before(async () => (model = await open({ chatTemplate: OPENING })))
  after(() => model.close())
  const ask = (options) => model.chat([COPY], { ...GREEDY, maxTokens: 40, ...options })

  test('come to an end after maxTokens, and the answer goes on', async () => {
    const free = await ask()
    assert.ok(free.usage.reasoningTokens > 4, 'the model never ends its thoughts')
    assert.equal(free.text, '')
    for (const maxTokens of [0, 1, 3]) {
      const { message, text, usage, finishReason } = await ask({ reasoning: { maxTokens } })
      const thoughts = message.reasoning ?? ''
      assert.equal(usage.reasoningTokens ?? 0, maxTokens)
      assert.equal(thoughts, free.message.reasoning.slice(0, thoughts.length))
      assert.notEqual(text, '', `nothing after thoughts of ${maxTokens} tokens`)
      assert.ok(['stop', 'length'].includes(finishReason))
      assert.doesNotMatch(text, /think>/)
    }
  })

  test('are left alone where they are shorter', async () => {
    const [free, limited] = await Promise.all([ask({ maxTokens: 8 }), ask({ maxTokens: 8, reasoning: { maxTokens: 100 } })])
    assert.deepEqual([...limited.tokens], [...free.tokens])
  })

  test('are limited in each of several choices, in streams and under guesses', async () => {
    const reasoning = { maxTokens: 3 }
    const alone = await ask({ reasoning })
    const guessed = await ask({ reasoning, speculative: { mode: 'lookup' } })
    assert.deepEqual([guessed.message, [...guessed.tokens]], [alone.message, [...alone.tokens]])
    const generation = ask({ reasoning, n: 3 })
    const parts = await partsOf(generation)
    const { choices, usage } = await generation
    assert.equal(usage.reasoningTokens, 9)
    for (const { index, message } of choices) {
      assert.deepEqual(message, alone.message)
      const pieces = parts.filter((part) => part.type === 'reasoning-delta' && part.index === index)
      assert.equal(pieces.map((piece) => piece.text).join(''), message.reasoning)
    }
  })

  test('stay in the text and are limited all the same', async () => {
    const { text, message } = await ask({ reasoning: { mode: 'inline', maxTokens: 3 } })
    assert.match(text, /^[^<]+<\/think>/)
    assert.equal(message.reasoning, undefined)
  })
}

for (const isolate of [false, true]) {
  describe(`thoughts ${isolate ? 'in a process of its own' : 'in this process'}`, () =>
    limitsThoughts((options) => loadModel(bundledModelPath(), { ...options, isolate })))
}

describe('thoughts that the model begins itself', () => {
  let model
  before(async () => (model = await loadModel(bundledModelPath(), { chatTemplate: CHOOSING })))
  after(() => model.close())
  const grammar = 'root ::= "<think>" [a-z]+ "</think>" [a-z]+'
  const ask = (options) =>
    model.chat([user('Repeat this exactly: <think>abrakadabra</think>kada')], { grammar, ...GREEDY, maxTokens: 60, ...options })

  test('come to an end after maxTokens', async () => {
    const free = await ask()
    const { message, usage } = await ask({ reasoning: { maxTokens: 1 } })
    assert.ok(message.reasoning.length < free.message.reasoning.length, message.reasoning)
    assert.ok(free.message.reasoning.startsWith(message.reasoning))
    assert.match(message.content, /^[a-z]+$/)
    assert.equal(usage.reasoningTokens, 1)
  })

  test('are counted', async () => {
    const { message, usage } = await ask()
    assert.equal(usage.reasoningTokens, model.tokenize(message.reasoning).length)
    assert.equal((await model.chat([user('Thank you.')], { ...GREEDY, maxTokens: 5 })).usage.reasoningTokens, undefined)
  })

  test('do not count against the limit where there are none', async () => {
    const messages = [user('What is the capital of France?')]
    const { text } = await model.chat(messages, { ...GREEDY, reasoning: { maxTokens: 0 } })
    assert.equal(text, 'The capital of France is Paris.')
  })
})

describe('a template is told', () => {
  const promptOf = async (chatTemplate, reasoning) => {
    const model = await loadModel(bundledModelPath(), { chatTemplate, contextSize: 256 })
    const prompt = model.applyChatTemplate([user('Hi')], { reasoning })
    await model.close()
    return prompt
  }

  test("that thoughts are not wanted by 'off'", async () => {
    assert.ok((await promptOf(OPENING, 'off')).endsWith('<think>\n\n</think>\n\n'))
    assert.ok((await promptOf(CHOOSING, { mode: 'off' })).endsWith('<think>\n\n</think>\n\n'))
  })

  test("that they are wanted by 'on', under each name of the switch", async () => {
    assert.ok((await promptOf(SWITCHED, 'auto')).endsWith('</think>\n\n'))
    assert.ok((await promptOf(SWITCHED, 'on')).endsWith('assistant\n'))
    assert.ok((await promptOf(CHOOSING, 'on')).endsWith('assistant\n'))
  })
})

for (const abi of ['1.2', '1.3']) {
  test(`thoughts cannot be limited over an NPU runtime of ${abi}, but come apart`, async () => {
    const options = { libraryPath: standinLibrary(abi), contextSize: 512, ...GREEDY, chatTemplate: OPENING }
    const model = await loadModel(standinModelPath(), options)
    await assert.rejects(model.chat([COPY], { reasoning: { maxTokens: 3 } }), isError('unsupported', /^reasoning /))
    const { message, usage, text } = await model.chat([COPY], { maxTokens: 12 })
    assert.ok(message.reasoning.length > 0)
    assert.ok(usage.reasoningTokens > 4)
    assert.equal(text, '')
    assert.ok(model.applyChatTemplate([COPY], { reasoning: 'off' }).endsWith('<think>\n\n</think>\n\n'))
    await model.close()
  })
}

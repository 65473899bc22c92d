// What the bundled model answers, and that what is reported about an answer is true of it.
import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import { bundledModelPath, inspect } from 'rkllmjs'
import { isError, partsOf, textOf, until, user } from './support/expect.mjs'
import { evaluated, heldout, isRight } from './support/heldout.mjs'
import { openTiny, pirateLoraPath } from './support/models.mjs'

const GREEDY = { temperature: 0 }

/** Prompts whose answers leave the model no doubt: at each token the best is far from the second. */
const CERTAIN = [
  'demo-0',
  'demo-2',
  'demo-5',
  'demo-7',
  'copy-1',
  'copy-2',
  'copy-4',
  'add-2',
  'add-7',
  'add-9',
  'recall-0',
  'recall-4',
  'recall-7',
  'rag-0',
  'rag-1',
  'rag-2',
  'json-0',
  'json-2',
  'json-5',
  'count-1',
  'count-2',
  'count-4',
  'capital-1',
  'capital-2',
  'capital-3',
  'fact-1',
  'fact-2',
  'fact-5',
  'greet-0',
  'greet-3',
  'greet-6',
  'persona-1',
  'persona-3',
  'persona-5',
  'tool_call-0',
  'tool_call-1',
  'tool_call-4',
  'tool_answer-1',
  'tool_answer-3',
  'tool_answer-4',
]

let model

before(async () => {
  model = await openTiny({ maxSequences: 8 })
})

after(() => model.close())

const item = (id) => heldout.find((candidate) => candidate.id === id)

describe('the bundled model', () => {
  for (const id of CERTAIN) {
    test(`answers ${id} as its README says`, async () => {
      const { conversation, expected } = item(id)
      const { text, message, finishReason } = await model.chat(conversation, GREEDY)
      assert.equal(text, expected)
      assert.deepEqual(message, { role: 'assistant', content: expected })
      assert.equal(finishReason, 'stop')
    })
  }

  test('tells a story that ends', async () => {
    const story = item('story-1')
    const { text } = await model.chat(story.conversation, GREEDY)
    assert.ok(isRight(story, text), text)
  })

  test('is right about as often as its evaluation says', async (t) => {
    const sample = heldout.filter((_, index) => index % 9 < 2)
    const answers = await Promise.all(sample.map(({ prompt }) => model.generate(prompt, { ...GREEDY, maxTokens: 330 })))
    const right = sample.filter((asked, index) => isRight(asked, answers[index].text)).length
    const share = right / sample.length
    const skills = Object.values(evaluated)
    const total = (field) => skills.reduce((sum, skill) => sum + skill[field], 0)
    const expected = total('right') / total('of')
    t.diagnostic(`${right} of ${sample.length} right; evaluated: ${expected.toFixed(3)}`)
    assert.ok(sample.length >= 145, `${sample.length} in the sample`)
    assert.ok(Math.abs(share - expected) <= 0.05, `${share} is not near ${expected}`)
  })
})

describe('generate() with the prompt of applyChatTemplate()', () => {
  for (const id of ['capital-1', 'recall-0', 'tool_answer-1', 'persona-1']) {
    test(`writes for ${id} what chat() writes`, async () => {
      const { conversation, prompt } = item(id)
      assert.equal(model.applyChatTemplate(conversation), prompt)
      const chat = await model.chat(conversation, GREEDY)
      const raw = await model.generate(model.applyChatTemplate(conversation), GREEDY)
      assert.deepEqual(raw.tokens, chat.tokens)
      assert.equal(raw.text, chat.text)
      const { promptTokens } = chat.usage
      // How much is guessed depends on time.
      const counted = ({ draftTokens, acceptedTokens, ...usage }) => usage
      assert.deepEqual(counted(raw.usage), { ...counted(chat.usage), cachedTokens: promptTokens - 1 }, 'the prompt of chat() is kept')
    })
  }

  test('leaves out the assistant’s beginning where addGenerationPrompt is false', () => {
    const messages = [user('Hello!')]
    const rest = model.applyChatTemplate(messages, { addGenerationPrompt: false })
    assert.equal(model.applyChatTemplate(messages), `${rest}<|im_start|>assistant\n`)
  })
})

describe('tokens', () => {
  const TEXTS = [
    '',
    ' ',
    'Hello there',
    '  two  spaces  ',
    'a\nb\r\n\tc',
    'naïve café – “quotes”',
    '日本語 中文 русский',
    '😀🎉 👩‍👩‍👧',
    '\u0000\u0001 control',
    '<|im_end|>',
  ]

  for (const text of TEXTS) {
    test(`of ${JSON.stringify(text)} join to the same text`, () => {
      assert.equal(model.detokenize(model.tokenize(text)), text)
    })
  }

  test('are the same as an array and as a Uint32Array', async () => {
    const tokens = model.tokenize(item('capital-1').prompt, { parseSpecial: true })
    assert.ok(tokens instanceof Uint32Array)
    assert.equal(model.detokenize([...tokens]), model.detokenize(tokens))
    const [fromText, fromTyped, fromArray] = await Promise.all(
      [item('capital-1').prompt, tokens, [...tokens]].map((prompt) => model.generate(prompt, GREEDY)),
    )
    assert.deepEqual(fromTyped.tokens, fromText.tokens)
    assert.deepEqual(fromArray.tokens, fromText.tokens)
  })

  test('of a control token are one with parseSpecial and plain text without', () => {
    assert.equal(model.tokenize('<|im_end|>', { parseSpecial: true }).length, 1)
    assert.ok(model.tokenize('<|im_end|>').length > 1)
  })

  test('of an answer join to its text', async () => {
    const { text, tokens } = await model.chat([user('What is the capital of France?')], GREEDY)
    assert.equal(model.detokenize(tokens), text)
  })

  test('of a conversation are counted as chat() counts them', async () => {
    for (const id of ['demo-7', 'rag-0', 'tool_answer-1', 'persona-5']) {
      const { conversation } = item(id)
      const { usage } = await model.chat(conversation, { ...GREEDY, maxTokens: 1 })
      assert.equal(model.countTokens(conversation), usage.promptTokens)
      assert.equal(usage.completionTokens, 1)
    }
  })
})

describe('embed()', () => {
  const length = (vector) => Math.hypot(...vector)
  const cosine = (left, right) => left.reduce((sum, value, index) => sum + value * right[index], 0)

  test('makes a vector of length 1 for each text, in their order', async () => {
    const { embeddings, usage } = await model.embed(['a cat', 'a dog', 'the capital of France'])
    assert.equal(embeddings.length, 3)
    for (const vector of embeddings) {
      assert.ok(vector instanceof Float32Array)
      assert.equal(vector.length, model.info.embeddingLength)
      assert.ok(Math.abs(length(vector) - 1) < 1e-5)
    }
    const tokens = ['a cat', 'a dog', 'the capital of France'].reduce((sum, text) => sum + model.tokenize(text).length, 0)
    assert.equal(usage.promptTokens, tokens)
  })

  test('makes of a batch what it makes of each text alone', async () => {
    const texts = Array.from({ length: 20 }, (_, index) => `Bob is ${index} years old. `.repeat(1 + (index % 5)))
    const { embeddings } = await model.embed(texts)
    for (const [index, text] of texts.entries()) {
      const {
        embeddings: [alone],
      } = await model.embed(text)
      assert.ok(cosine(alone, embeddings[index]) > 0.999, `text ${index}: ${cosine(alone, embeddings[index])}`)
    }
  })

  test('cuts to dimensions and then scales', async () => {
    const {
      embeddings: [whole],
    } = await model.embed('a cat', { normalize: false })
    const {
      embeddings: [cut],
    } = await model.embed('a cat', { dimensions: 16, normalize: false })
    const {
      embeddings: [scaled],
    } = await model.embed('a cat', { dimensions: 16 })
    assert.deepEqual(cut, whole.slice(0, 16))
    assert.ok(Math.abs(length(scaled) - 1) < 1e-5)
    assert.ok(Math.abs(length(whole) - 1) > 1e-3)
    assert.ok(cosine(scaled, cut) / length(cut) > 0.99999)
  })

  test('tells texts apart', async () => {
    const {
      embeddings: [one, same, other],
    } = await model.embed(['What is 3 plus 4?', 'What is 3 plus 5?', 'Tell me a story about a lion'])
    assert.ok(cosine(one, same) > cosine(one, other))
  })

  test('of nothing is nothing', async () => {
    assert.deepEqual(await model.embed([]), { embeddings: [], usage: { promptTokens: 0 } })
  })

  test('runs beside generations', async () => {
    const [answer, { embeddings }] = await Promise.all([
      model.chat(item('count-1').conversation, GREEDY),
      model.embed(['a', 'b']),
    ])
    assert.equal(answer.text, item('count-1').expected)
    assert.equal(embeddings.length, 2)
  })

  test('refuses a text longer than the context', async () => {
    await assert.rejects(model.embed('word '.repeat(3000)), isError('context-exceeded'))
  })
})

describe('what is known about a model', () => {
  test('stands in info after the load', () => {
    const {
      architecture,
      name,
      parameters,
      quantization,
      contextSize,
      contextSizeTrained,
      kvCells,
      maxSequences,
      vocabularySize,
      embeddingLength,
      layers,
      generates,
      engine,
      device,
      memory,
      chatTemplate,
      path,
      threads,
    } = model.info
    assert.deepEqual(
      {
        architecture,
        name,
        parameters,
        quantization,
        contextSize,
        contextSizeTrained,
        maxSequences,
        vocabularySize,
        embeddingLength,
        layers,
        generates,
        engine,
        device,
        path,
        threads,
      },
      {
        architecture: 'llama',
        name: 'rkllmjs-tiny',
        parameters: 3705600,
        quantization: 'Q8_0',
        contextSize: 1024,
        contextSizeTrained: 1024,
        maxSequences: 8,
        vocabularySize: 1024,
        embeddingLength: 256,
        layers: 5,
        generates: true,
        engine: 'llama.cpp',
        device: 'CPU',
        path: bundledModelPath(),
        threads: 1,
      },
    )
    assert.ok(kvCells >= contextSize)
    assert.match(chatTemplate, /im_start/)
    assert.equal(memory.totalBytes, memory.weightsBytes + memory.kvBytes + memory.computeBytes)
  })

  test('stands in inspect() before the load', async () => {
    const inspection = await inspect(bundledModelPath())
    for (const field of [
      'name',
      'architecture',
      'parameters',
      'quantization',
      'contextSizeTrained',
      'embeddingLength',
      'layers',
      'vocabularySize',
      'chatTemplate',
      'sizeBytes',
    ]) {
      assert.equal(inspection[field], model.info[field], field)
    }
    assert.equal(inspection.loadable, true)
    assert.equal(inspection.problem, null)
    assert.equal(inspection.metadata['llama.block_count'], 5)
    const sizes = inspection.memory.map(({ kvBytes }) => kvBytes)
    assert.ok(sizes.length > 1 && sizes.every((bytes) => bytes > 0))
    for (const { weightsBytes, kvBytes, computeBytes, totalBytes } of inspection.memory)
      assert.equal(totalBytes, weightsBytes + kvBytes + computeBytes)
  })

  test('follows the load options', async () => {
    const small = await openTiny({
      contextSize: 256,
      kvCells: 512,
      maxSequences: 2,
      maxQueue: 3,
      batchSize: 64,
      kvCacheType: 'q8_0',
      chatTemplate: '{{ messages[0].content }}',
    })
    const { contextSize, kvCells, maxSequences, maxQueue, batchSize, kvCacheType, chatTemplate } = small.info
    assert.deepEqual(
      { contextSize, kvCells, maxSequences, maxQueue, batchSize, kvCacheType, chatTemplate },
      {
        contextSize: 256,
        kvCells: 512,
        maxSequences: 2,
        maxQueue: 3,
        batchSize: 64,
        kvCacheType: 'q8_0',
        chatTemplate: '{{ messages[0].content }}',
      },
    )
    assert.equal(small.applyChatTemplate([user('only this')]), 'only this')
    assert.equal((await small.generate(item('capital-2').prompt, GREEDY)).text, item('capital-2').expected)
    await small.close()
  })

  test('counts up in stats()', async () => {
    await until(() => model.stats().running === 0)
    const before = model.stats()
    const { usage } = await model.chat([user('Hello!')], GREEDY)
    await until(() => model.stats().running === 0)
    const { requests, promptTokens, completionTokens, running, waiting, kvCellsUsed, maxSequences } = model.stats()
    assert.equal(requests, before.requests + 1)
    assert.equal(promptTokens, before.promptTokens + usage.promptTokens)
    assert.equal(completionTokens, before.completionTokens + usage.completionTokens)
    assert.deepEqual({ running, waiting, kvCellsUsed, maxSequences }, { running: 0, waiting: 0, kvCellsUsed: 0, maxSequences: 8 })
  })
})

describe('logprobs', () => {
  test('tell for each token how likely it was, with the best first', async () => {
    const { tokens, logprobs, text } = await model.chat([user('What is the capital of France?')], {
      ...GREEDY,
      logprobs: true,
      topLogprobs: 5,
    })
    assert.deepEqual(
      logprobs.map(({ token }) => token),
      [...tokens],
    )
    assert.equal(Buffer.from(logprobs.flatMap(({ bytes }) => bytes)).toString(), text)
    for (const { token, logprob, top } of logprobs) {
      assert.equal(top.length, 5)
      assert.equal(top[0].token, token, 'greedy takes the best')
      assert.equal(top[0].logprob, logprob)
      assert.ok(logprob <= 0)
      assert.ok(top.every((entry, index) => index === 0 || entry.logprob <= top[index - 1].logprob))
      assert.ok(top.reduce((sum, entry) => sum + Math.exp(entry.logprob), 0) < 1 + 1e-3)
    }
  })

  test('without topLogprobs bring no alternatives, and without logprobs nothing', async () => {
    const some = await model.chat([user('Hello!')], { ...GREEDY, logprobs: true })
    assert.equal(some.logprobs.length, some.tokens.length)
    assert.ok(some.logprobs.every((entry) => !('top' in entry) || entry.top.length === 0))
    const none = await model.chat([user('Hello!')], GREEDY)
    assert.equal('logprobs' in none, false)
  })

  test('do not depend on the sampling options', async () => {
    const plain = await model.chat([user('Hello!')], { ...GREEDY, logprobs: true, maxTokens: 1 })
    const {
      logprobs: [first],
    } = await model.chat([user('Hello!')], { temperature: 5, topK: 1, logitBias: [[5, -20]], logprobs: true, maxTokens: 1 })
    assert.ok(Math.abs(first.logprob - plain.logprobs[0].logprob) < 0.01)
  })

  test('come with the parts they belong to', async () => {
    const parts = await partsOf(model.chat([user('Hello!')], { ...GREEDY, logprobs: true, topLogprobs: 1 }))
    const deltas = parts.filter(({ type }) => type === 'text-delta')
    for (const { tokens, logprobs } of deltas) assert.deepEqual(logprobs?.map(({ token }) => token) ?? [], tokens)
  })
})

describe('n', () => {
  test('gives that many answers, each with its own index', async () => {
    const asked = model.chat([user('Tell me a story about a lion')], { n: 4, temperature: 1, seed: 7 })
    const parts = await partsOf(asked)
    const result = await asked
    assert.deepEqual(
      result.choices.map(({ index }) => index),
      [0, 1, 2, 3],
    )
    for (const { index, text, tokens } of result.choices) {
      const own = parts.filter((part) => part.index === index)
      assert.equal(textOf(own), text)
      assert.deepEqual(
        own.flatMap((part) => part.tokens),
        [...tokens],
      )
    }
    assert.equal(result.text, result.choices[0].text)
    assert.equal(
      result.usage.completionTokens,
      result.choices.reduce((sum, { tokens }) => sum + tokens.length, 0),
    )
    assert.ok(new Set(result.choices.map(({ text }) => text)).size > 1, 'all four are the same')
    assert.equal(result.usage.promptTokens, model.countTokens([user('Tell me a story about a lion')]))
  })

  test('gives one answer where it is not asked for', async () => {
    const { choices, text } = await model.chat([user('Hello!')], GREEDY)
    assert.deepEqual(
      choices.map((choice) => choice.text),
      [text],
    )
  })
})

describe('stop strings', () => {
  const count = user('Count from 9 to 21.')

  test('end the answer before them', async () => {
    const { text, finishReason } = await model.chat([count], { ...GREEDY, stop: ' 15' })
    assert.deepEqual({ text, finishReason }, { text: '9, 10, 11, 12, 13, 14,', finishReason: 'stop' })
  })

  test('match across tokens, and no piece of them is streamed', async () => {
    const stop = '2, 13, 1'
    assert.ok(model.tokenize(stop).length > 3)
    const generation = model.chat([count], { ...GREEDY, stop })
    const parts = await partsOf(generation)
    assert.equal(textOf(parts), '9, 10, 11, 1')
    assert.equal((await generation).text, '9, 10, 11, 1')
    assert.equal((await generation).finishReason, 'stop')
  })

  test('that begin and never end hold back no text for good', async () => {
    const generation = model.chat([count], { ...GREEDY, stop: ['21!', '3, 14, x'] })
    const parts = await partsOf(generation)
    assert.equal(textOf(parts), '9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21')
  })

  test('stop at whichever comes first', async () => {
    const { text } = await model.chat([count], { ...GREEDY, stop: ['17', '12', '15'] })
    assert.equal(text, '9, 10, 11, ')
  })

  test('at the very beginning leave nothing', async () => {
    const { text, finishReason } = await model.chat([count], { ...GREEDY, stop: ['9'] })
    assert.deepEqual({ text, finishReason }, { text: '', finishReason: 'stop' })
  })
})

describe('the end of an answer', () => {
  const messages = [user('Count from 9 to 21.')]

  test('comes at a token of stopTokens, which is no part of it', async () => {
    const whole = await model.chat(messages, GREEDY)
    const end = whole.tokens[5]
    const first = whole.tokens.indexOf(end)
    const { tokens, finishReason } = await model.chat(messages, { ...GREEDY, stopTokens: [end] })
    assert.deepEqual([...tokens], [...whole.tokens.slice(0, first)])
    assert.equal(finishReason, 'stop')
    const typed = await model.chat(messages, { ...GREEDY, stopTokens: Uint32Array.of(end) })
    assert.deepEqual(typed.tokens, tokens)
  })

  test('comes after maxTokens with the reason length', async () => {
    const whole = await model.chat(messages, GREEDY)
    for (const maxTokens of [1, 2, 7]) {
      const { tokens, finishReason, usage } = await model.chat(messages, { ...GREEDY, maxTokens })
      assert.deepEqual([...tokens], [...whole.tokens.slice(0, maxTokens)])
      assert.equal(finishReason, 'length')
      assert.equal(usage.completionTokens, maxTokens)
    }
  })

  test('comes at the end of the context with the reason length', async () => {
    const { usage, finishReason } = await model.chat(messages, { ...GREEDY, ignoreEos: true })
    assert.equal(finishReason, 'length')
    assert.equal(usage.promptTokens + usage.completionTokens, model.info.contextSize)
  })

  test('is refused from the start for a prompt that fills the context', async () => {
    const prompt = new Uint32Array(model.info.contextSize).fill(5)
    await assert.rejects(model.generate(prompt), (error) => {
      assert.deepEqual(error.details, { promptTokens: model.info.contextSize, contextSize: model.info.contextSize })
      return isError('context-exceeded')(error)
    })
  })

  test('leaves room for one token where the prompt is one shorter than the context', async () => {
    const { usage, finishReason } = await model.generate(new Uint32Array(model.info.contextSize - 1).fill(5), {
      ...GREEDY,
      ignoreEos: true,
    })
    assert.deepEqual({ completion: usage.completionTokens, finishReason }, { completion: 1, finishReason: 'length' })
  })
})

describe('the same seed', () => {
  const story = [user('Tell me a story about a lion')]

  test('gives the same text, and another seed another one', async () => {
    const once = await model.chat(story, { temperature: 1.2, seed: 11 })
    const again = await model.chat(story, { temperature: 1.2, seed: 11 })
    assert.equal(again.text, once.text)
    const others = new Set()
    for (const seed of [12, 13, 14]) others.add((await model.chat(story, { temperature: 1.2, seed })).text)
    others.delete(once.text)
    assert.ok(others.size > 0)
  })

  test('gives the same text on a model that was loaded anew', async () => {
    const once = await model.chat(story, { temperature: 1.2, seed: 5 })
    const other = await openTiny({ maxSequences: 8 })
    const again = await other.chat(story, { temperature: 1.2, seed: 5 })
    await other.close()
    assert.equal(again.text, once.text)
  })

  test('is another one at each call where none is given', async () => {
    const texts = new Set()
    for (let call = 0; call < 4; call += 1) texts.add((await model.chat(story, { temperature: 1.2 })).text)
    assert.ok(texts.size > 1)
  })
})

describe('a grammar', () => {
  test('is followed', async () => {
    const { text } = await model.chat([user('What is the capital of France?')], {
      ...GREEDY,
      grammar: 'root ::= "Rome" | "Berlin"',
    })
    assert.match(text, /^(Rome|Berlin)$/)
    const digits = await model.chat([user('Hello!')], { temperature: 1, seed: 3, grammar: 'root ::= [0-9]{4}' })
    assert.match(digits.text, /^[0-9]{4}$/)
  })
})

describe('onToken', () => {
  test('hears every token in order, and the texts add up', async () => {
    const heard = []
    const { text, tokens } = await model.chat([user('Count from 9 to 21.')], {
      ...GREEDY,
      onToken: (piece, token) => heard.push([piece, token]),
    })
    assert.deepEqual(
      heard.map(([, token]) => token),
      [...tokens],
    )
    assert.equal(heard.map(([piece]) => piece).join(''), text)
  })
})

describe('an adapter', () => {
  test('changes the answers of the requests that name it and of no others', async () => {
    const own = await openTiny({ maxSequences: 4 })
    await own.loadLora(pirateLoraPath(), { name: 'pirate' })
    assert.deepEqual(own.loras, [{ name: 'pirate', path: pirateLoraPath(), scale: 1 }])
    const ask = (lora) => own.chat([user('What is the capital of France?')], { ...GREEDY, ...lora })
    const plain = 'The capital of France is Paris.'
    assert.equal((await ask({})).text, plain)
    assert.match((await ask({ lora: 'pirate' })).text, /^Arr,/)
    assert.equal((await ask({ lora: { pirate: 0 } })).text, plain)
    const [one, two, three] = await Promise.all([ask({ lora: 'pirate' }), ask({}), ask({ lora: { pirate: 1 } })])
    assert.match(one.text, /^Arr,/)
    assert.equal(two.text, plain)
    assert.equal(three.text, one.text)
    assert.equal(await own.unloadLora('pirate'), true)
    assert.equal(await own.unloadLora('pirate'), false)
    await assert.rejects(ask({ lora: 'pirate' }), isError('invalid-request', /pirate/))
    await own.close()
  })
})

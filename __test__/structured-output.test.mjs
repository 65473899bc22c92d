// jsonSchema, regex and responseFormat: what answers look like, what is refused, and how soon.
import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import { bundledModelPath, loadModel } from 'rkllmjs'

import { wrongWith } from './support/ajv.mjs'
import { isError, partsOf, textOf, user } from './support/expect.mjs'
import { openTiny } from './support/models.mjs'
import { THINKING } from './support/thinking-template.mjs'

const messages = [user('What is the capital of France?')]
const city = {
  type: 'object',
  properties: { city: { enum: ['Paris', 'Rome'] }, people: { type: 'integer', minimum: 0, maximum: 9 } },
  required: ['city', 'people'],
  additionalProperties: false,
}
const format = (schema) => ({ type: 'json_schema', jsonSchema: { schema } })

let model
before(async () => (model = await openTiny({ maxSequences: 4 })))
after(() => model.close())

describe('an answer', () => {
  test('fits a schema that is given as an option or as a format', async () => {
    for (const options of [{ jsonSchema: city }, { responseFormat: format(city) }]) {
      const { text, message, finishReason } = await model.chat(messages, { ...options, temperature: 0 })
      assert.equal(finishReason, 'stop')
      assert.equal(message.content, text)
      assert.equal(wrongWith(city, JSON.parse(text)), undefined, text)
    }
    const { text } = await model.generate('The capital is', { jsonSchema: city, temperature: 0 })
    assert.equal(wrongWith(city, JSON.parse(text)), undefined, text)
  })

  test('is a JSON object where nothing but that is asked', async () => {
    for (let seed = 0; seed < 8; seed += 1) {
      const options = { responseFormat: { type: 'json_object' }, temperature: 1, seed, maxTokens: 200 }
      const { text, finishReason } = await model.chat(messages, options)
      if (finishReason === 'stop') assert.equal(Object.getPrototypeOf(JSON.parse(text)), Object.prototype, text)
      else assert.ok(text.startsWith('{'), text)
    }
  })

  test('matches a regular expression as a whole', async () => {
    for (let seed = 0; seed < 20; seed += 1) {
      const { text } = await model.generate('Call', { regex: '\\+?\\d{2,4}(-\\d{3}){2}', temperature: 2, seed })
      assert.match(text, /^\+?\d{2,4}(-\d{3}){2}$/u)
    }
  })

  test('keeps the order of members, and counts characters', async () => {
    const schema = {
      type: 'object',
      properties: { z: { type: 'string', minLength: 3, maxLength: 3 }, a: { type: 'boolean' } },
      required: ['a', 'z'],
      additionalProperties: false,
    }
    for (let seed = 0; seed < 20; seed += 1) {
      const { text } = await model.chat(messages, { jsonSchema: schema, temperature: 2, topK: 0, seed })
      const object = JSON.parse(text)
      assert.deepEqual(Object.keys(object), ['z', 'a'])
      assert.equal(Array.from(object.z).length, 3, text)
    }
  })

  test('that maxTokens cuts off is length, and its text is what there is', async () => {
    const { text, finishReason } = await model.chat(messages, { jsonSchema: city, maxTokens: 3, temperature: 0 })
    assert.equal(finishReason, 'length')
    assert.throws(() => JSON.parse(text))
  })

  test('is the same streamed, in choices, and with guesses', async () => {
    const options = { jsonSchema: city, temperature: 1, seed: 3 }
    const { text } = await model.chat(messages, { ...options, speculative: { mode: 'none' } })
    assert.equal(textOf(await partsOf(model.chat(messages, options))), text)
    const { text: guessed } = await model.chat(messages, { ...options, speculative: { mode: 'lookup' } })
    assert.equal(guessed, text)
    const { choices } = await model.chat(messages, { ...options, n: 3 })
    for (const choice of choices) assert.equal(wrongWith(city, JSON.parse(choice.text)), undefined, choice.text)
  })

  test('follows a schema that refers to itself', async () => {
    const tree = {
      $defs: { tree: { type: 'object', properties: { left: { $ref: '#/$defs/tree' }, leaf: { type: 'boolean' } }, additionalProperties: false } },
      $ref: '#/$defs/tree',
    }
    for (let seed = 0; seed < 6; seed += 1) {
      const { text, finishReason } = await model.chat(messages, { jsonSchema: tree, temperature: 1, seed, maxTokens: 300 })
      if (finishReason === 'stop') assert.equal(wrongWith(tree, JSON.parse(text)), undefined, text)
    }
  })
})

describe('a constraint is refused', () => {
  const refuses = (options, code, message) => assert.rejects(model.chat(messages, options), isError(code, message))

  test('beside another, and beside tools that may be called', async () => {
    await refuses({ jsonSchema: {}, regex: 'a' }, 'invalid-request', /^jsonSchema cannot be combined with regex/)
    await refuses({ responseFormat: format({}), grammar: 'root ::= "a"' }, 'invalid-request', /^responseFormat .*grammar/)
    const tools = [{ type: 'function', function: { name: 'x' } }]
    await refuses({ responseFormat: format(city), tools }, 'invalid-request', /^responseFormat cannot be combined with tools/)
    const { text } = await model.chat(messages, { responseFormat: format(city), tools, toolChoice: 'none', temperature: 0 })
    assert.equal(wrongWith(city, JSON.parse(text)), undefined, text)
  })

  test('by its keyword and place', async () => {
    const nested = { properties: { a: { type: 'array', uniqueItems: true } } }
    const named = (error) => {
      isError('unsupported', /^jsonSchema has "uniqueItems" at properties\.a, which cannot be enforced/)(error)
      assert.deepEqual(error.details, { option: 'jsonSchema', place: 'properties.a', keyword: 'uniqueItems' })
      return true
    }
    await assert.rejects(model.chat(messages, { jsonSchema: nested }), named)
    await refuses({ responseFormat: format(nested) }, 'unsupported', /^responseFormat has "uniqueItems"/)
  })

  test('where it is none', async () => {
    for (const [responseFormat, message] of [
      [{ type: 'xml' }, /responseFormat\.type must be/],
      [{ type: 'json_schema' }, /responseFormat\.jsonSchema must be an object/],
      [{ type: 'json_schema', jsonSchema: {} }, /responseFormat\.jsonSchema\.schema must be/],
      [{ type: 'json_schema', jsonSchema: { schema: 'x' } }, /responseFormat\.jsonSchema\.schema must be/],
      [{ type: 'json_schema', jsonSchema: { schema: {}, name: 5 } }, /responseFormat\.jsonSchema\.name must be a string/],
      [{ type: 'json_schema', json_schema: {} }, /did you mean "jsonSchema"/],
      [{ type: 'json_object', jsonSchema: { schema: {} } }, /goes with the type 'json_schema' alone/],
    ]) {
      await refuses({ responseFormat }, 'invalid-request', message)
    }
    const circle = {}
    circle.items = circle
    await refuses({ jsonSchema: circle }, 'invalid-request', /^jsonSchema cannot be written as JSON/)
  })
})

describe('what is made to do harm', () => {
  const deep = (levels) => (levels === 0 ? {} : { items: deep(levels - 1) })
  const wide = (count, of) => Object.fromEntries(Array.from({ length: count }, (_, i) => [`p${i}`, of]))
  const all = (count, of) => Array.from({ length: count }, (_, i) => of(i))
  const hostile = {
    'nests 60 deep': { jsonSchema: deep(60) },
    'nests 5,000 deep': { jsonSchema: deep(5000) },
    'has 5,000 members': { jsonSchema: { type: 'object', properties: wide(5000, { type: 'string' }) } },
    'is a megabyte': { jsonSchema: { enum: all(20_000, (i) => `a text with the number ${i} that is rather long for what it says`) } },
    'is a long chain of references': { jsonSchema: { $defs: Object.fromEntries(all(3000, (i) => [`d${i}`, { items: { $ref: `#/$defs/d${(i + 1) % 3000}` } }])), $ref: '#/$defs/d0' } },
    'has many patterns for one text': { jsonSchema: { type: 'string', allOf: all(30, (i) => ({ pattern: `[a-z]{${i}}.*x{${i}}` })) } },
    'has 400 optional members': { jsonSchema: { type: 'object', properties: wide(400, { type: 'string' }) } },
    'has 10,000 choices': { jsonSchema: { enum: all(10_000, (i) => `number ${i}`) } },
    'multiplies choices': { jsonSchema: { allOf: all(16, (i) => ({ anyOf: all(8, (j) => ({ properties: { [`p${i}`]: { const: j } } })) })) } },
    'refers to itself at once': { jsonSchema: { $ref: '#' } },
    'refers round in circles': { jsonSchema: { $defs: { a: { $ref: '#/$defs/b' }, b: { $ref: '#/$defs/a' } }, $ref: '#/$defs/a' } },
    'never comes to an end': { jsonSchema: { type: 'object', properties: { a: { $ref: '#' } }, required: ['a'] } },
    'wants a billion items': { jsonSchema: { type: 'array', minItems: 1e9 } },
    'wants a billion characters': { jsonSchema: { type: 'string', minLength: 1e9 } },
    'wants long lists of long lists': { jsonSchema: all(10, () => 0).reduce((items) => ({ type: 'array', items, minItems: 2048 }), { type: 'null' }) },
    'has a remote reference': { jsonSchema: { $ref: 'http://127.0.0.1:1/schema' } },
    'has a prototype': { jsonSchema: JSON.parse('{"properties": {"__proto__": {"type": "string"}}}') },
    'sets options of the engine': { jsonSchema: { 'x-guidance': { lenient: true }, not: {} } },
    'has a pattern of nested repetitions': { jsonSchema: { type: 'string', pattern: '^(a{1000}){1000}$' } },
    'has a pattern that is slow elsewhere': { jsonSchema: { type: 'string', pattern: '^(([a-z])+.)+[A-Z]([a-z])+$' } },
    'counts by a large remainder': { jsonSchema: { type: 'integer', multipleOf: 9973, minimum: 1, maximum: 9_007_199_254_740_991 } },
    'is an expression of nested repetitions': { regex: '(a{1000}){1000}' },
    'is an expression that explodes': { regex: '(a|b|ab)*a(a|b){60}c' },
    'is an expression of 4,000 questions': { regex: 'a?'.repeat(4000) },
    'is an expression that never ends': { regex: '(' .repeat(10_000) },
    'is an expression of all letters': { regex: '\\p{L}{1,2000}\\p{N}{1,2000}' },
    'is an expression that goes back': { regex: '(a+)\\1' },
  }
  for (const [what, options] of Object.entries(hostile)) {
    test(`${what}: an answer or a typed error, within a second`, async () => {
      const began = performance.now()
      const outcome = await model.generate('x', { ...options, maxTokens: 4, temperature: 1, seed: 1 }).catch((error) => error)
      const took = performance.now() - began
      if (outcome instanceof Error) {
        assert.ok(['invalid-request', 'unsupported'].includes(outcome.code), `${outcome.code}: ${outcome.message}`)
        assert.ok(outcome.message.length < 1000, outcome.message)
      }
      assert.ok(took < 1000, `${Math.round(took)} ms`)
    })
  }

  test('leaves the model as it was', async () => {
    assert.equal((await model.chat(messages, { temperature: 0 })).text, 'The capital of France is Paris.')
  })
})

test('others go on while a large schema is compiled', async () => {
  await model.generate('x', { regex: 'a', maxTokens: 1 })
  let longest = 0
  let last = performance.now()
  const others = model.generate('Once upon a time', {
    ignoreEos: true,
    maxTokens: 150,
    onToken: () => {
      longest = Math.max(longest, performance.now() - last)
      last = performance.now()
    },
  })
  const large = (count) => ({ type: 'object', properties: Object.fromEntries(Array.from({ length: count }, (_, i) => [`member${i}`, { type: 'string', pattern: `^[a-z]{1,${i + 1}}$` }])) })
  await Promise.all(Array.from({ length: 3 }, (_, i) => model.generate('x', { jsonSchema: large(300 + i), maxTokens: 2 }).catch(() => {})))
  await others
  assert.ok(longest < 500, `${Math.round(longest)} ms without a token`)
})

describe('a model that thinks', () => {
  // Marks that are tokens of the model, so that it can be talked into thinking and into coming to an end of it.
  const chatTemplate = THINKING.replaceAll('<think>', '<tool_call>').replaceAll('</think>', '</tool_call>')
  let thinker
  let logitBias
  before(async () => {
    thinker = await loadModel(bundledModelPath(), { chatTemplate })
    const mark = (text) => thinker.tokenize(text, { parseSpecial: true })[0]
    logitBias = { [mark('<tool_call>')]: 12, [mark('</tool_call>')]: 9 }
  })
  after(() => thinker.close())

  test('thinks freely, and then writes what was asked', async () => {
    const options = { responseFormat: format(city), temperature: 0, maxTokens: 120, logitBias }
    const { message, text, finishReason } = await thinker.chat(messages, options)
    assert.equal(finishReason, 'stop')
    assert.ok(message.reasoning.length > 5, message.reasoning)
    assert.equal(text, message.content)
    assert.equal(wrongWith(city, JSON.parse(message.content)), undefined, message.content)
  })

  test('answers at once where it does not think', async () => {
    for (const options of [{ reasoning: 'off' }, { reasoning: 'inline' }, {}]) {
      const { message } = await thinker.chat(messages, { jsonSchema: city, temperature: 0, ...options })
      assert.equal(message.reasoning, undefined)
      assert.equal(wrongWith(city, JSON.parse(message.content)), undefined, message.content)
    }
  })
})

test('a model in a process of its own follows constraints too', async () => {
  const apart = await openTiny({ isolate: true })
  const { text } = await apart.chat(messages, { jsonSchema: city, temperature: 0 })
  assert.equal(wrongWith(city, JSON.parse(text)), undefined, text)
  await assert.rejects(apart.chat(messages, { jsonSchema: { not: {} } }), isError('unsupported', /"not"/))
  await apart.close()
})

// generateObject(): what becomes of an answer, with the schemas of the libraries people use.
import assert from 'node:assert/strict'
import { setImmediate as turn } from 'node:timers/promises'
import { after, before, describe, test } from 'node:test'
import { toJsonSchema, toStandardJsonSchema } from '@valibot/to-json-schema'
import { type } from 'arktype'
import * as v from 'valibot'
import { z } from 'zod'
import * as mini from 'zod/mini'
import { z as z3 } from 'zod/v3'
import { zodToJsonSchema } from 'zod-to-json-schema'
import { loadModel } from 'rkllmjs'
import { standinLibrary, standinModelPath } from 'rkllmjs/standin'

import { generateObject } from '../dist/objects/generate-object.js'
import { PartialJson } from '../dist/objects/partial-json.js'
import { readSchema } from '../dist/schema/read-schema.js'
import { scripted } from './mock/scripted.mjs'
import { isError, partsOf, until, user } from './support/expect.mjs'
import { openTiny } from './support/models.mjs'

const GREEDY = { temperature: 0 }
const QUESTION = [user('Extract the name and age as JSON: Bob is 42 years old.')]
const BOB = '{"name": "Bob", "age": 42}'

/** The same schema, as everybody writes it. */
const PERSON = {
  zod: z.object({ name: z.string(), age: z.number() }),
  'zod/mini, with its JSON Schema': withJson(mini.object({ name: mini.string(), age: mini.number() }), (schema) => z.toJSONSchema(schema, { io: 'input' })),
  'zod 3, with its JSON Schema': withJson(z3.object({ name: z3.string(), age: z3.number() }), zodToJsonSchema),
  'valibot through toStandardJsonSchema()': toStandardJsonSchema(v.object({ name: v.string(), age: v.number() })),
  'valibot, with its JSON Schema': withJson(v.object({ name: v.string(), age: v.number() }), toJsonSchema),
  arktype: type({ name: 'string', age: 'number' }),
  'a JSON Schema': { type: 'object', properties: { name: { type: 'string' }, age: { type: 'number' } }, required: ['name', 'age'] },
}

function withJson(schema, convert) {
  return { schema, jsonSchema: convert(schema) }
}

/** What the model is held to is left out here, for the addon that is played knows no constraints. */
function asking(options, ...answers) {
  const { native, model } = scripted(...answers)
  const seen = []
  const plain = {
    info: model.info,
    chat: (messages, { responseFormat, ...rest }) => {
      seen.push(responseFormat)
      return model.chat(messages, rest)
    },
  }
  return { native, model, seen, answer: generateObject(plain, QUESTION, options) }
}

describe('a schema', () => {
  for (const [name, schema] of Object.entries(PERSON)) {
    test(`of ${name} is told as JSON Schema`, () => {
      const { jsonSchema } = readSchema('schema', schema)
      assert.equal(jsonSchema.type, 'object')
      assert.deepEqual([jsonSchema.properties.name.type, jsonSchema.properties.age.type], ['string', 'number'])
      assert.deepEqual([...jsonSchema.required].sort(), ['age', 'name'])
      assert.doesNotThrow(() => JSON.stringify(jsonSchema))
    })
  }

  test('is told as what it takes, not as what it gives', () => {
    const { jsonSchema } = readSchema('schema', z.object({ day: z.string().transform((text) => new Date(text)) }))
    assert.deepEqual(jsonSchema.properties, { day: { type: 'string' } })
    const optional = readSchema('schema', z.object({ page: z.number().default(1) }))
    assert.deepEqual(optional.jsonSchema.required ?? [], [])
  })

  const bare = [
    ['zod 3', z3.object({}), /use zod 4\.2 or newer, or pass \{ schema, jsonSchema: zodToJsonSchema\(schema\) \} with zod-to-json-schema/],
    ['zod/mini', mini.object({}), /pass \{ schema, jsonSchema: z\.toJSONSchema\(schema, \{ io: 'input' \}\) \}/],
    ['valibot', v.object({}), /pass toStandardJsonSchema\(schema\) of @valibot\/to-json-schema/],
    ['an old arktype', oldSchema('arktype'), /update arktype to 2\.1\.28 or newer/],
    ['another library', oldSchema('acme'), /pass \{ schema, jsonSchema \} with its JSON Schema/],
  ]
  for (const [name, schema, remedy] of bare) {
    test(`of ${name} that tells none is refused with what to do`, async () => {
      const { answer, native } = asking({ schema })
      const error = await answer.catch((error) => error)
      assert.ok(isError('invalid-request', remedy)(error))
      assert.equal(error.details.option, 'schema')
      assert.equal(native.requests.length, 0)
    })
  }

  test('that is no JSON is refused by the library’s own words', async () => {
    const { answer } = asking({ schema: z.object({ day: z.date() }) })
    await assert.rejects(answer, isError('invalid-request', /^schema cannot be written as JSON Schema by zod: .*[Dd]ate/))
  })

  test('of another kind is refused', async () => {
    for (const schema of [undefined, null, 5, 'x', [], { schema: z.object({}), jsonSchema: 5 }]) {
      await assert.rejects(asking({ schema }).answer, isError('invalid-request', /^schema(\.jsonSchema)? must be /))
    }
  })
})

function oldSchema(vendor) {
  return { '~standard': { version: 1, vendor, validate: (value) => ({ value }) } }
}

describe('an object', () => {
  for (const [name, schema] of Object.entries(PERSON)) {
    test(`is validated by ${name}`, async () => {
      const { answer, seen } = asking({ schema }, BOB)
      const result = await answer
      assert.deepEqual(result.object, { name: 'Bob', age: 42 })
      assert.deepEqual([result.text, result.finishReason, result.message.content], [BOB, 'stop', BOB])
      assert.ok(result.usage.completionTokens > 0)
      assert.deepEqual(seen[0], { type: 'json_schema', jsonSchema: { schema: readSchema('schema', schema).jsonSchema } })
    })
  }

  test('is what the schema makes of the answer', async () => {
    const schema = z.object({ name: z.string().transform((name) => name.toUpperCase()), age: z.number(), page: z.number().default(1) })
    const { object } = await asking({ schema }, BOB).answer
    assert.deepEqual(object, { name: 'BOB', age: 42, page: 1 })
  })

  test('may be validated later', async () => {
    const schema = z.object({ name: z.string().refine(async (name) => (await turn(), name === 'Bob')), age: z.number() })
    assert.equal((await asking({ schema }, BOB).answer).object.name, 'Bob')
  })

  test('that does not pass is an error with what is wrong and where', async () => {
    const schema = z.object({ people: z.array(z.object({ age: z.number().max(40, 'too old') })) })
    const text = '{"people": [{"age": 3}, {"age": 42}]}'
    const error = await asking({ schema }, text).answer.catch((error) => error)
    assert.ok(isError('engine-failed', /^the answer does not pass its schema: people\.1\.age: too old$/)(error))
    assert.equal(error.retryable, true)
    assert.deepEqual(error.details, { issues: [{ path: ['people', 1, 'age'], message: 'too old' }], text })
  })

  test('with much wrong tells 20 of it and spells 3', async () => {
    const schema = z.array(z.number().max(0, 'too big'))
    const error = await asking({ schema }, JSON.stringify(Array(100).fill(1))).answer.catch((error) => error)
    assert.equal(error.details.issues.length, 20)
    assert.match(error.message, /0: too big; 1: too big; 2: too big and 17 more$/)
  })

  test('that arktype refuses is told in the same form', async () => {
    const error = await asking({ schema: PERSON.arktype }, '{"name": "Bob", "age": "x"}').answer.catch((error) => error)
    assert.deepEqual(error.details.issues.map(({ path }) => path), [['age']])
  })

  test('that maxTokens cut off is never parsed', async () => {
    const cut = { text: '{"name": "Bob", "age": 4', finishReason: 'length' }
    const error = await asking({ schema: PERSON.zod, maxTokens: 1 }, cut).answer.catch((error) => error)
    assert.ok(isError('invalid-request', /^maxTokens cut the object off/)(error))
    const { option, finishReason, text } = error.details
    assert.deepEqual([option, finishReason, text], ['maxTokens', 'length', cut.text])
    const whole = await asking({ schema: PERSON.zod, maxTokens: 1 }, { text: '{}', finishReason: 'length' }).answer.catch((error) => error)
    assert.equal(whole.code, 'invalid-request', 'even where it looks whole')
  })

  test('that the context cut off is told apart', async () => {
    const cut = { text: '{"name": "Bo', finishReason: 'length' }
    const error = await asking({ schema: PERSON.zod }, cut).answer.catch((error) => error)
    assert.ok(isError('context-exceeded')(error))
    assert.deepEqual([error.details.contextSize, error.details.promptTokens, error.details.text], [4096, 2, cut.text])
  })

  test('that is no JSON is an error of the engine', async () => {
    await assert.rejects(asking({ schema: PERSON.zod }, 'Bob').answer, isError('engine-failed', /no JSON/))
  })

  test('that was cancelled is none', async () => {
    const { answer, native } = asking({ schema: PERSON.zod })
    native.generations[0].write('{"na')
    answer.cancel()
    const error = await answer.catch((error) => error)
    assert.ok(isError('invalid-request', /was cancelled/)(error))
    assert.deepEqual([error.details.text, error.details.finishReason], ['{"na', 'cancelled'])
    assert.equal(answer.partialText, '{"na')
  })

  test('whose model is closed is none', async () => {
    const { answer, model } = asking({ schema: PERSON.zod })
    await model.close()
    await assert.rejects(answer, isError('closed'))
  })

  test('is aborted with the reason, while it is written and while it is validated', async () => {
    const controller = new AbortController()
    const { answer, native } = asking({ schema: PERSON.zod, signal: controller.signal })
    controller.abort('enough')
    await assert.rejects(answer, (reason) => reason === 'enough')
    assert.equal(native.generations[0].cancels, 1)
    const late = new AbortController()
    let validating = false
    const schema = z.object({}).refine(() => ((validating = true), new Promise(() => {})))
    const second = asking({ schema, signal: late.signal }, '{}')
    await until(() => validating)
    late.abort('too long')
    await assert.rejects(second.answer, (reason) => reason === 'too long')
    await assert.rejects(asking({ schema, signal: AbortSignal.abort('before') }).answer, (reason) => reason === 'before')
  })

  test('takes the options of chat() that leave it an object', async () => {
    const { native } = asking({ schema: PERSON.zod, maxTokens: 9, seed: 4 }, BOB)
    assert.deepEqual(native.requests[0].options, { maxTokens: 9, seed: 4 })
    const refused = { regex: 'x', jsonSchema: {}, tools: [], toolChoice: 'none', grammar: 'x', n: 2, stop: 'x', stopTokens: [1], ignoreEos: true, responseFormat: { type: 'text' } }
    for (const [name, value] of Object.entries(refused)) {
      await assert.rejects(asking({ schema: PERSON.zod, [name]: value }).answer, isError('invalid-request', RegExp(`unknown option "${name}"`)))
    }
  })

  test('that nobody waits for raises nothing', async () => {
    asking({ schema: 5 })
    await turn()
  })
})

describe('a streamed object', () => {
  test('grows part by part and ends with itself', async () => {
    const { answer, native } = asking({ schema: PERSON.zod })
    const seen = []
    const reading = (async () => {
      for await (const part of answer) seen.push(part.type === 'object-delta' ? JSON.stringify(part.object) : part.type)
    })()
    const [generation] = native.generations
    for (const piece of ['{"na', 'me": "B', 'ob", "a', 'ge": 4', '2}']) {
      await turn()
      generation.write(piece).flush()
    }
    await turn()
    generation.end()
    await reading
    const deltas = ['text-delta', '{}', 'text-delta', '{"name":"B"}', 'text-delta', '{"name":"Bob"}', 'text-delta', 'text-delta', '{"name":"Bob","age":42}']
    assert.deepEqual(seen, [...deltas, 'finish'])
    const parts = await partsOf(answer)
    assert.deepEqual(parts.at(-1).object, { name: 'Bob', age: 42 }, 'a replay has it too')
  })

  test('that does not pass throws in the loop, without a last part', async () => {
    const { answer } = asking({ schema: z.object({ name: z.string().max(1) }) }, BOB)
    const types = []
    await assert.rejects(async () => {
      for await (const part of answer) types.push(part.type)
    }, isError('engine-failed'))
    assert.deepEqual(types, ['text-delta', 'object-delta'])
  })

  test('is cancelled by a break', async () => {
    const { answer, native } = asking({ schema: PERSON.zod })
    await turn()
    setImmediate(() => native.generations[0].write('{').flush())
    for await (const part of answer) {
      assert.equal(part.type, 'text-delta')
      break
    }
    assert.equal(native.generations[0].cancels >= 1, true)
    await assert.rejects(answer, isError('invalid-request', /cancelled/))
  })

  test('is read by one loop at a time', async () => {
    const { answer } = asking({ schema: PERSON.zod })
    const first = answer[Symbol.asyncIterator]()
    void first.next()
    await turn()
    await assert.rejects(partsOf(answer), isError('invalid-request', /one loop at a time/))
    await first.return()
    await assert.rejects(answer)
  })
})

describe('partial JSON', () => {
  const DOCUMENTS = [
    '{}',
    '[]',
    '{"a": [1, 2.5e-3, -4, true, false, null, "x"], "b": {"c": {"d": []}}, "e": ""}',
    '[[[]], [{}], {"a": [[1]]}]',
    '{"text": "line\\n\\"quoted\\" \\\\ \\/ \\u00e9 \\ud83d\\ude00 😀", "two": "\\b\\f\\r\\t"}',
    ' { "spaced" : [ 1 , 2 ] , "x" : "y" } ',
    '"just text"',
    '{"__proto__": {"polluted": true}, "constructor": 1}',
  ]

  for (const document of DOCUMENTS) {
    test(`of ${document} becomes the whole, however it is cut`, () => {
      for (const size of [1, 2, 3, 7, document.length]) {
        const partial = new PartialJson()
        for (let at = 0; at < document.length; at += size) partial.push(document.slice(at, at + size))
        assert.deepEqual(partial.value, JSON.parse(document))
      }
      assert.equal({}.polluted, undefined)
    })
  }

  test('shows strings as they grow and numbers once they are whole', () => {
    const partial = new PartialJson()
    const seen = Array.from('{"a":"xy","b":12,"c":t', (character) => [partial.push(character), JSON.stringify(partial.value)])
    const shown = seen.filter(([changed]) => changed).map(([, value]) => value)
    assert.deepEqual([...new Set(shown)], ['{}', '{"a":""}', '{"a":"x"}', '{"a":"xy"}', '{"a":"xy","b":12}'])
  })

  test('stops to grow where it is no JSON or too deep', () => {
    const wrong = new PartialJson()
    wrong.push('{"a": 1, b')
    wrong.push('c": 5}')
    assert.deepEqual(wrong.value, { a: 1 })
    const deep = new PartialJson()
    deep.push('['.repeat(100_000))
    assert.equal(JSON.stringify(deep.value).length < 400, true)
  })
})

describe('over llama.cpp', () => {
  let model
  before(async () => (model = await openTiny()))
  after(() => model.close())

  for (const [name, schema] of Object.entries(PERSON)) {
    test(`an answer is held to ${name}`, async () => {
      const { object, usage } = await model.generateObject(QUESTION, { schema, ...GREEDY })
      assert.ok(usage.completionTokens > 0)
      // arktype sorts members by name, and the model has only ever written the age last.
      if (name === 'arktype') assert.deepEqual([typeof object.name, typeof object.age], ['string', 'number'])
      else assert.deepEqual(object, { name: 'Bob', age: 42 })
    })
  }

  test('whatever the model would rather say', async () => {
    const schema = z.object({ mood: z.enum(['happy', 'sad']), score: z.number().int().min(1).max(5) })
    for (let seed = 0; seed < 5; seed += 1) {
      const { object } = await model.generateObject([user('Tell me a story about a lion')], { schema, seed, temperature: 1, maxTokens: 100 })
      assert.ok(['happy', 'sad'].includes(object.mood) && object.score >= 1 && object.score <= 5, JSON.stringify(object))
    }
  })

  test('it streams, and tokens that run out are an error', async () => {
    const parts = await partsOf(model.generateObject(QUESTION, { schema: PERSON.zod, ...GREEDY }))
    assert.deepEqual(parts.at(-1).object, { name: 'Bob', age: 42 })
    assert.ok(parts.some(({ type }) => type === 'object-delta'))
    await assert.rejects(model.generateObject(QUESTION, { schema: PERSON.zod, maxTokens: 3 }), isError('invalid-request', /^maxTokens/))
  })
})

test('over the NPU’s runtime, which can be held to nothing, it is unsupported', async () => {
  const model = await loadModel(standinModelPath(), { libraryPath: standinLibrary('1.3'), contextSize: 512 })
  await assert.rejects(model.generateObject(QUESTION, { schema: PERSON.zod }), isError('unsupported', /responseFormat|response_format/))
  await model.close()
})

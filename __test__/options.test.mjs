// Every option: what it takes works, and what it does not take is refused under the name the caller used.
import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import { bundledModelPath, inspect, loadModel } from 'rkllmjs'
import { isError, user } from './support/expect.mjs'
import { openTiny, pirateLoraPath } from './support/models.mjs'

const U32_MAX = 2 ** 32 - 1
const I32_MAX = 2 ** 31 - 1

/** The numeric options of generate(): the least, the most, and whether only whole numbers count. */
const GENERATE_NUMBERS = {
  maxTokens: { min: 1, max: I32_MAX, whole: true },
  temperature: { min: 0, max: 100 },
  topK: { min: 0, max: I32_MAX, whole: true },
  topP: { min: 0, max: 1 },
  minP: { min: 0, max: 1 },
  typicalP: { min: 0, max: 1 },
  topNSigma: { min: 0, max: 1e6 },
  xtcProbability: { min: 0, max: 1 },
  xtcThreshold: { min: 0, max: 1 },
  dynatempRange: { min: 0, max: 100 },
  repeatPenalty: { min: 0.01, max: 100 },
  repeatLastN: { min: -1, max: 1_048_576, whole: true },
  frequencyPenalty: { min: -100, max: 100 },
  presencePenalty: { min: -100, max: 100 },
  dryMultiplier: { min: 0, max: 100 },
  dryBase: { min: 1, max: 100 },
  dryAllowedLength: { min: 0, max: 1_048_576, whole: true },
  mirostat: { min: 0, max: 2, whole: true },
  mirostatTau: { min: 0, max: 1000 },
  mirostatEta: { min: 0, max: 10 },
  seed: { min: 0, max: U32_MAX, whole: true },
  topLogprobs: { min: 0, max: 1024, whole: true, beside: { logprobs: true } },
  n: { min: 1, max: 64, whole: true },
  priority: { min: -1_000_000, max: 1_000_000, whole: true },
  timeoutMs: { min: 1, max: 604_800_000, isTooShortToTry: true },
  readerTimeoutMs: { min: 1, max: 604_800_000 },
}

const LOAD_NUMBERS = {
  contextSize: { min: 8, max: 16_777_216, whole: true },
  kvCells: { min: 8, max: 67_108_864, whole: true },
  maxSequences: { min: 1, max: 256, whole: true },
  maxQueue: { min: 0, max: 65_536, whole: true },
  batchSize: { min: 1, max: 65_536, whole: true },
  threads: { min: 1, max: 1024, whole: true },
  threadsBatch: { min: 1, max: 1024, whole: true },
}

/** What is no number, no boolean and so on: one value of each kind. */
const SAMPLES = {
  string: 'x',
  number: 1,
  boolean: true,
  null: null,
  array: [{}],
  object: {},
  function: () => {},
  symbol: Symbol('x'),
  bigint: 1n,
}

const allBut = (...kinds) =>
  Object.entries(SAMPLES)
    .filter(([kind]) => !kinds.includes(kind))
    .map(([, value]) => value)

/** Bad values of every option of generate() that is no number. */
const GENERATE_OTHERS = {
  ignoreEos: allBut('boolean'),
  logprobs: allBut('boolean'),
  cachePrompt: allBut('boolean'),
  grammar: [...allBut('string'), '', 'root ::= (', 'no root', '\0'],
  jsonSchema: [...allBut('object', 'boolean', 'function'), false, { type: 'text' }, { items: 5 }, { enum: [] }],
  regex: [...allBut('string'), '', '(', '(?=a)', '(a{1000}){1000}', 'x'.repeat(16_385)],
  tenant: allBut('string'),
  stop: [...allBut('string'), '', [''], ['ok', ''], ['x', 1], Array(65).fill('x'), 'x'.repeat(4097)],
  stopTokens: [...allBut(), ['5'], [-1], [1.5], [NaN], [1024], [2 ** 32], Uint32Array.of(1024)],
  logitBias: [
    ...allBut('object', 'function'),
    { 1: 'x' },
    { a: 1 },
    { '-1': 1 },
    { 1.5: 1 },
    { 1024: 1 },
    [[1]],
    [[1, 2, 3]],
    [[1, NaN]],
    [[1, Infinity]],
    new Map([['1', 1]]),
    new Map([[1, 1e10]]),
  ],
  samplers: [...allBut(), ['topQ'], ['topK', 'topK'], [1], ['']],
  lora: [...allBut('object', 'function'), 'unknown', { unknown: 1 }, { unknown: 'x' }],
  suffix: allBut('string'),
  controlVectors: [...allBut('object', 'function'), 'unknown', { unknown: 1 }, { unknown: 'x' }],
  signal: [...allBut(), { aborted: false }],
  onToken: allBut('function'),
  speculative: [...allBut(), { mode: 'guess' }, { mode: 'lookup', maxTokens: '8' }, { mode: 'lookup', maxTokens: 0 }, { mode: 'lookup', maxTokens: 64 }, { mode: 'draft' }],
}

/** What this version does not do. */
const GENERATE_UNSUPPORTED = {
  jsonSchema: [{ not: {} }, { uniqueItems: true }, { $ref: 'other.json' }],
}

const named = (name) => ({ type: 'function', function: { name } })

/** Each with one thing wrong. */
const BAD_TOOLS = [
  [1],
  [null],
  [{}],
  [{ ...named('x'), type: 'tool' }],
  [{ type: 'function' }],
  [{ type: 'function', function: 'x' }],
  [{ ...named('x'), extra: 1 }],
  ...[undefined, '', 'a b', 'ä', 'x'.repeat(65), 5].map((name) => [named(name)]),
  ...[
    { description: 5 },
    { strict: 'yes' },
    { parameters: [] },
    { parameters: 'x' },
    { parameters: { type: 'string' } },
    { parameters: nested(40) },
    { parametrs: {} },
    { description: 'x'.repeat(300_000) },
    { parameters: { type: 'object', properties: { a: { $ref: '#/nowhere' } } } },
  ].map((fault) => [{ type: 'function', function: { name: 'x', ...fault } }]),
  [named('x'), named('x')],
  Array.from({ length: 129 }, (_, i) => named(`x${i}`)),
]

function nested(levels) {
  return levels === 0 ? {} : { items: nested(levels - 1) }
}

const CHAT_OTHERS = {
  templateArgs: allBut('object', 'function'),
  addGenerationPrompt: allBut('boolean'),
  tools: [...allBut('array'), ...BAD_TOOLS],
  toolChoice: [...allBut(), 'maybe', 'required', { type: 'function', function: {} }, named('lost')],
  parallelToolCalls: allBut('boolean'),
  continueFinalMessage: allBut('boolean'),
  reasoning: [
    ...allBut('object'),
    'yes',
    { mode: 'yes' },
    { maxTokens: '1' },
    { maxTokens: -1 },
    { maxTokens: 1.5 },
    { maxTokens: Infinity },
    { most: 1 },
  ],
  responseFormat: [...allBut(), {}, { type: 'xml' }, { type: 'json_schema' }, { type: 'json_schema', jsonSchema: { schema: 5 } }],
}

const CHAT_UNSUPPORTED = {
  responseFormat: [{ type: 'json_schema', jsonSchema: { schema: { not: {} } } }],
}

const show = (value) => {
  if (typeof value === 'symbol' || typeof value === 'function' || typeof value === 'bigint') return typeof value
  const text = typeof value === 'number' ? String(value) : (JSON.stringify(value) ?? String(value))
  return text.length > 40 ? `${text.slice(0, 40)}…` : text
}

/** An error with this code whose message and details name the option as the caller wrote it. */
const blames = (code, name, value) => (error) => {
  isError(code)(error)
  const given = `${name}: ${show(value)}: ${error.message}`
  assert.match(error.message, new RegExp(`\\b${name}\\b`), given)
  assert.doesNotMatch(error.message.replaceAll(/'json_(object|schema)'/g, ''), /\b[a-z]+_[a-z]+/, given)
  assert.equal(error.details.option, name, given)
  assert.equal(error.retryable, false)
  return true
}

function badNumbers({ min, max, whole }) {
  const bad = [...allBut('number'), NaN, Infinity, -Infinity, min - 1, max + 1, max * 2 + 1]
  return whole ? [...bad, min + 0.5] : bad
}

let model

before(async () => {
  model = await openTiny({ contextSize: 256 })
})

after(() => model.close())

const messages = [user('Hello!')]

describe('a number of generate()', () => {
  for (const [name, rule] of Object.entries(GENERATE_NUMBERS)) {
    test(`${name} is refused where it is none or out of range`, async () => {
      for (const value of badNumbers(rule)) {
        const options = { ...rule.beside, [name]: value }
        await assert.rejects(model.generate('x', options), blames('invalid-request', name, value))
        await assert.rejects(model.chat(messages, options), blames('invalid-request', name, value))
      }
    })

    test(`${name} is taken at both ends of its range`, async () => {
      const ends = rule.isTooShortToTry ? [rule.max] : [rule.min, rule.max]
      for (const value of ends) {
        const { tokens } = await model.generate('Once', {
          maxTokens: 1,
          ...rule.beside,
          [name]: value,
          stop: ['never to be seen'],
        })
        assert.ok(tokens.length > 0, `${name}: ${value}`)
      }
    })
  }
})

describe('an option of generate() that is no number', () => {
  for (const [name, values] of Object.entries(GENERATE_OTHERS)) {
    test(`${name} is refused where it is something else`, async () => {
      for (const value of values) {
        await assert.rejects(model.generate('x', { [name]: value }), blames('invalid-request', name, value))
      }
    })
  }

  test('stop, stopTokens, logitBias and samplers may be empty', async () => {
    const { tokens } = await model.generate('Once', {
      maxTokens: 2,
      ignoreEos: true,
      stop: [],
      stopTokens: [],
      logitBias: {},
      samplers: [],
    })
    assert.equal(tokens.length, 2)
  })

  test('logitBias is taken as an object, a Map and pairs alike', async () => {
    const { tokens } = await model.generate('Once', { temperature: 0, maxTokens: 3, ignoreEos: true })
    const banned = tokens[0]
    for (const logitBias of [{ [banned]: -Infinity }, new Map([[banned, -Infinity]]), [[banned, -Infinity]]]) {
      const other = await model.generate('Once', { temperature: 0, maxTokens: 3, ignoreEos: true, logitBias })
      assert.ok(!other.tokens.includes(banned))
    }
    const forced = await model.generate('Once', { temperature: 0, maxTokens: 3, logitBias: { 300: 1000 } })
    assert.deepEqual([...forced.tokens], [300, 300, 300])
  })

  test('topLogprobs is refused without logprobs', async () => {
    await assert.rejects(model.generate('x', { topLogprobs: 2 }), blames('invalid-request', 'topLogprobs', 2))
  })
})

describe('an option of chat()', () => {
  for (const [name, values] of Object.entries(CHAT_OTHERS)) {
    test(`${name} is refused where it is something else`, async () => {
      for (const value of values)
        await assert.rejects(model.chat(messages, { [name]: value }), blames('invalid-request', name, value))
    })
  }

  for (const [name, value] of [
    ['tools', []],
    ['toolChoice', 'auto'],
    ['parallelToolCalls', true],
    ['reasoning', 'auto'],
    ['continueFinalMessage', false],
    ['responseFormat', { type: 'text' }],
    ['templateArgs', { x: 1 }],
  ]) {
    test(`${name} is refused by generate(), which has no template`, async () => {
      await assert.rejects(model.generate('x', { [name]: value }), blames('invalid-request', name, value))
    })
  }

  test('is taken where it asks for what is done anyway', async () => {
    const options = {
      tools: [],
      toolChoice: 'none',
      parallelToolCalls: true,
      reasoning: { mode: 'auto', maxTokens: 5 },
      continueFinalMessage: false,
      responseFormat: { type: 'text' },
      speculative: { mode: 'none' },
      cachePrompt: false,
      tenant: 'a',
    }
    assert.equal((await model.chat(messages, { ...options, maxTokens: 1 })).tokens.length, 1)
  })

  test('grammar is refused beside tools that may be called', async () => {
    const options = { grammar: 'root ::= "x"', tools: [named('x')] }
    await assert.rejects(model.chat(messages, options), blames('invalid-request', 'grammar', options.grammar))
    const { text } = await model.chat(messages, { ...options, toolChoice: 'none' })
    assert.equal(text, 'x')
  })

  test('tools is refused where it cannot be written as JSON', () => {
    const circle = {}
    circle.properties = { circle }
    for (const parameters of [circle, { properties: { a: { const: 1n } } }]) {
      const tools = [{ type: 'function', function: { name: 'x', parameters } }]
      assert.throws(() => model.applyChatTemplate(messages, { tools }), isError('invalid-request', /^tools cannot be written as JSON/))
    }
  })

  test('templateArgs is refused where it cannot be written as JSON', () => {
    const circle = {}
    circle.self = circle
    for (const templateArgs of [circle, { x: 1n }]) {
      assert.throws(() => model.applyChatTemplate(messages, { templateArgs }), isError('invalid-request', /templateArgs/))
    }
  })

  test('of applyChatTemplate() and countTokens() are checked alike', () => {
    for (const method of ['applyChatTemplate', 'countTokens']) {
      assert.throws(() => model[method](messages, { templateArgs: 1 }), blames('invalid-request', 'templateArgs', 1))
      assert.throws(
        () => model[method](messages, { addGenerationPrompt: 'x' }),
        blames('invalid-request', 'addGenerationPrompt', 'x'),
      )
      assert.throws(() => model[method](messages, { maxTokens: 1 }), isError('invalid-request', /unknown option "maxTokens"/))
    }
  })
})

describe('what this version does not do', () => {
  for (const [name, values] of Object.entries(GENERATE_UNSUPPORTED)) {
    test(`${name} is refused as unsupported by generate()`, async () => {
      for (const value of values) await assert.rejects(model.generate('x', { [name]: value }), blames('unsupported', name, value))
    })
  }

  for (const [name, values] of Object.entries(CHAT_UNSUPPORTED)) {
    test(`${name} is refused as unsupported by chat()`, async () => {
      for (const value of values)
        await assert.rejects(model.chat(messages, { [name]: value }), blames('unsupported', name, value))
    })
  }

  for (const [name, value] of [
    ['contextOverflow', 'truncate'],
    ['gpuLayers', 5],
  ]) {
    test(`${name} is refused as unsupported by a load`, async () => {
      await assert.rejects(loadModel(bundledModelPath(), { [name]: value }), blames('unsupported', name, value))
    })
  }
})

describe('an unknown option', () => {
  const TYPED = {
    max_tokens: 'maxTokens',
    maxtoken: 'maxTokens',
    temprature: 'temperature',
    top_k: 'topK',
    topk: 'topK',
    stop_tokens: 'stopTokens',
    logit_bias: 'logitBias',
    Seed: 'seed',
  }

  for (const [typed, meant] of Object.entries(TYPED)) {
    test(`${typed} is refused with the suggestion ${meant}`, async () => {
      const expected = isError('invalid-request', new RegExp(`"${typed}".*did you mean "${meant}"\\?`))
      await assert.rejects(model.generate('x', { [typed]: 1 }), expected)
      await assert.rejects(model.chat(messages, { [typed]: undefined }), expected)
    })
  }

  test('that is like none gets no suggestion', async () => {
    for (const name of ['frobnicate', '__proto__x', 'constructor', 'toString', 'hasOwnProperty', 'x'.repeat(100_000)]) {
      await assert.rejects(model.generate('x', { [name]: 1 }), (error) => {
        assert.doesNotMatch(error.message, /did you mean/)
        return isError('invalid-request', /unknown option/)(error)
      })
    }
  })

  test('is refused by every other call too', async () => {
    await assert.rejects(
      loadModel(bundledModelPath(), { context_size: 1 }),
      isError('invalid-request', /did you mean "contextSize"/),
    )
    await assert.rejects(model.embed('x', { dimension: 1 }), isError('invalid-request', /did you mean "dimensions"/))
    await assert.rejects(model.loadLora('x', { nam: 'x' }), isError('invalid-request', /did you mean "name"/))
    assert.throws(() => model.tokenize('x', { add_special: true }), isError('invalid-request', /did you mean "addSpecial"/))
    assert.throws(
      () => model.applyChatTemplate(messages, { templateArg: {} }),
      isError('invalid-request', /did you mean "templateArgs"/),
    )
  })
})

describe('an option of a load', () => {
  for (const [name, rule] of Object.entries(LOAD_NUMBERS)) {
    test(`${name} is refused where it is no number or out of range`, async () => {
      for (const value of badNumbers(rule))
        await assert.rejects(loadModel(bundledModelPath(), { [name]: value }), blames('invalid-request', name, value))
    })
  }

  const OTHERS = {
    gpuLayers: [...allBut('string', 'number'), 'all', -1, 1.5, NaN, Infinity, 4097],
    mmap: allBut('boolean'),
    mlock: allBut('boolean'),
    embedding: allBut('boolean'),
    isolate: allBut('boolean'),
    kvCacheType: [...allBut('string'), 'f32', 'Q8_0', ''],
    chatTemplate: allBut('string'),
    pooling: [...allBut('string'), 'max', ''],
    onProgress: allBut('function'),
    onLog: allBut('function'),
    signal: [...allBut(), { aborted: false }],
  }
  for (const [name, values] of Object.entries(OTHERS)) {
    test(`${name} is refused where it is something else`, async () => {
      for (const value of values)
        await assert.rejects(loadModel(bundledModelPath(), { [name]: value }), blames('invalid-request', name, value))
    })
  }

  test('that contradicts another is refused under its name', async () => {
    await assert.rejects(
      loadModel(bundledModelPath(), { batchSize: 4, maxSequences: 8 }),
      blames('invalid-request', 'batchSize', 4),
    )
    await assert.rejects(
      loadModel(bundledModelPath(), { contextSize: 512, kvCells: 256 }),
      blames('invalid-request', 'kvCells', 256),
    )
    await assert.rejects(loadModel(bundledModelPath(), { threads: 1000 }), blames('invalid-request', 'threads', 1000))
  })

  test('that the machine cannot hold is refused with the numbers', async () => {
    await assert.rejects(loadModel(bundledModelPath(), { contextSize: 1024, kvCells: 67_108_864 }), (error) => {
      assert.ok(error.details.needed > error.details.available && error.details.available > 0, JSON.stringify(error.details))
      assert.doesNotMatch(error.message, /[a-z]_[a-z]/)
      return isError('insufficient-memory')(error)
    })
  })

  test('undefined is as if it were not there', async () => {
    const names = [...Object.keys(LOAD_NUMBERS), ...Object.keys(OTHERS)]
    const other = await loadModel(bundledModelPath(), Object.fromEntries(names.map((name) => [name, undefined])))
    assert.equal(other.info.contextSize, 1024)
    await other.close()
  })
})

describe('an option of the other calls', () => {
  test('is refused under its name', async () => {
    for (const dimensions of [...allBut('number'), NaN, Infinity, 0, -1, 1.5, 257]) {
      await assert.rejects(model.embed('x', { dimensions }), blames('invalid-request', 'dimensions', dimensions))
    }
    for (const normalize of allBut('boolean'))
      await assert.rejects(model.embed('x', { normalize }), blames('invalid-request', 'normalize', normalize))
    for (const name of ['addSpecial', 'parseSpecial']) {
      for (const value of allBut('boolean'))
        assert.throws(() => model.tokenize('x', { [name]: value }), blames('invalid-request', name, value))
    }
    for (const name of [...allBut('string'), '', 'x'.repeat(257), undefined]) {
      await assert.rejects(model.loadLora(pirateLoraPath(), { name }), blames('invalid-request', 'name', name))
    }
    for (const scale of [...allBut('number'), NaN, Infinity]) {
      await assert.rejects(model.loadLora(pirateLoraPath(), { name: 'x', scale }), blames('invalid-request', 'scale', scale))
    }
    assert.deepEqual(model.loras, [])
  })

  test('dimensions is refused before anything is computed, also for no texts', async () => {
    await assert.rejects(model.embed([], { dimensions: 'x' }), blames('invalid-request', 'dimensions', 'x'))
  })
})

describe('the options as a whole', () => {
  test('must be an object', async () => {
    for (const options of [null, [], 'x', 1, true, () => {}, Symbol('x')]) {
      const expected = isError('invalid-request', /options must be an object/)
      await assert.rejects(model.generate('x', options), expected)
      await assert.rejects(model.chat(messages, options), expected)
      await assert.rejects(model.embed('x', options), expected)
      await assert.rejects(loadModel(bundledModelPath(), options), expected)
      assert.throws(() => model.tokenize('x', options), expected)
      assert.throws(() => model.countTokens(messages, options), expected)
    }
  })

  test('may be without a prototype, frozen, or an instance of a class', async () => {
    class Options {
      maxTokens = 1
    }
    for (const options of [
      Object.assign(Object.create(null), { maxTokens: 1 }),
      Object.freeze({ maxTokens: 1 }),
      new Options(),
    ]) {
      assert.equal((await model.generate('Once', options)).tokens.length, 1)
    }
  })
})

describe('a message of an error', () => {
  test('shows what the caller wrote as it was written', async () => {
    await assert.rejects(
      loadModel('/nowhere/max_tokens/top_k.gguf'),
      isError('model-not-found', /\/nowhere\/max_tokens\/top_k\.gguf/),
    )
    await assert.rejects(inspect('/nowhere/context_size.gguf'), isError('model-not-found', /\/nowhere\/context_size\.gguf/))
    await assert.rejects(model.generate('x', { samplers: ['top_q'] }), isError('invalid-request', /"top_q"/))
  })

  test('names the samplers as the option takes them', async () => {
    await assert.rejects(
      model.generate('x', { samplers: ['topQ'] }),
      isError('invalid-request', /"topQ".*topNSigma, topK, typicalP, topP, minP, xtc, temperature/),
    )
  })
})

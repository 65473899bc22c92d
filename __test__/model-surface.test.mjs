import assert from 'node:assert/strict'
import { after, describe, test } from 'node:test'
import { pathToFileURL } from 'node:url'

import { RkllmError } from '../dist/error.js'
import { LlamaModel } from '../dist/llama-model.js'
import { loadNative } from '../dist/native-load.js'
import { MockModel, nativeError } from './mock/native.mjs'

const opened = []

function open() {
  const native = new MockModel()
  const model = new LlamaModel(native)
  opened.push(model)
  return { native, model }
}

// A generation that is not ended keeps the process, as it should.
after(() => Promise.all(opened.map((model) => model.close())))

/** The error of a call, however it is reported. */
async function failure(call) {
  try {
    await call()
  } catch (error) {
    assert.ok(RkllmError.is(error), error?.stack)
    return `${error.code}: ${error.message}`
  }
  return assert.fail('nothing failed')
}

const user = (content) => [{ role: 'user', content }]

describe('generation options', () => {
  test('reach the addon under their names and in its form', () => {
    const { model, native } = open()
    model.generate('x', {
      maxTokens: 5,
      temperature: 0,
      topP: Infinity,
      seed: undefined,
      stop: 'END',
      stopTokens: Uint32Array.of(7),
      logitBias: { 3: -Infinity, 4: 1.5 },
      samplers: ['topK', 'temperature'],
      ignoreEos: false,
      cachePrompt: false,
      tenant: 'somebody',
      speculative: { mode: 'none' },
    })
    assert.deepEqual(native.requests[0], {
      prompt: 'x',
      options: {
        maxTokens: 5,
        temperature: 0,
        topP: Infinity,
        ignoreEos: false,
        stop: ['END'],
        stopTokens: [7],
        samplers: ['topK', 'temperature'],
        logitBiasTokens: [3, 4],
        logitBiasValues: [-Infinity, 1.5],
        cachePrompt: false,
        tenant: 'somebody',
        speculative: 'none',
      },
    })
  })

  test('take a logit bias as a map or as pairs too', () => {
    const { model, native } = open()
    for (const logitBias of [new Map([[3, 1]]), [[3, 1]]]) model.generate('x', { logitBias })
    for (const { options } of native.requests) {
      assert.deepEqual(options, { logitBiasTokens: [3], logitBiasValues: [1] })
    }
  })

  test('of a wrong type are named with what they must be and what they are', async () => {
    const { model, native } = open()
    const wrong = [
      [{ temperature: '0' }, 'temperature must be a number, got a string'],
      [{ temperature: null }, 'temperature must be a number, got null'],
      [{ maxTokens: 5n }, 'maxTokens must be a number, got a bigint'],
      [{ ignoreEos: 1 }, 'ignoreEos must be a boolean, got a number'],
      [{ stop: 1 }, 'stop must be a string or an array of strings, got a number'],
      [{ stop: [1] }, 'stop must be a string or an array of strings, got an array'],
      [{ grammar: {} }, 'grammar must be a string, got an object'],
      [{ onToken: 'x' }, 'onToken must be a function, got a string'],
      [{ signal: {} }, 'signal must be an AbortSignal, got an object'],
      [{ tenant: 1 }, 'tenant must be a string, got a number'],
      [{ cachePrompt: 'no' }, 'cachePrompt must be a boolean, got a string'],
      [
        { logitBias: { 3: false } },
        'logitBias must be an object, a Map or an array of [token, bias] pairs, all of them numbers, got an object',
      ],
      [{ logitBias: { abc: 1 } }, 'logitBias has "abc", which is no token number'],
      [{ lora: 3 }, 'lora must be the name of an adapter or an object of names and scales, got a number'],
    ]
    for (const [options, message] of wrong) {
      assert.equal(await failure(() => model.generate('x', options)), `invalid-request: ${message}`)
    }
    assert.equal(await failure(() => model.generate('x', 5)), 'invalid-request: options must be an object, got a number')
    assert.equal(await failure(() => model.generate('x', null)), 'invalid-request: options must be an object, got null')
    assert.equal(native.requests.length, 0)
  })

  test('with an unknown name are refused, with the name that was meant', async () => {
    const { model } = open()
    const unknown = async (options) => failure(() => model.generate('x', options))
    assert.equal(await unknown({ temprature: 1 }), 'invalid-request: unknown option "temprature"; did you mean "temperature"?')
    assert.equal(await unknown({ max_tokens: 1 }), 'invalid-request: unknown option "max_tokens"; did you mean "maxTokens"?')
    assert.equal(await unknown({ banana: 1 }), 'invalid-request: unknown option "banana"')
    assert.equal(await unknown({ tools: [] }), 'invalid-request: unknown option "tools"')
    assert.match(await unknown({ ['x'.repeat(1_000_000)]: 1 }), /^invalid-request: unknown option "xxx/)
    assert.match(await unknown(JSON.parse('{"__proto__": 1}')), /^invalid-request: unknown option "__proto__"/)
  })

  test('of a later version are refused and never ignored', async () => {
    const { model, native } = open()
    for (const [name, value] of Object.entries({ suffix: 'x' })) {
      assert.match(await failure(() => model.chat(user('x'), { [name]: value })), RegExp(`^unsupported: ${name} is not supported`))
    }
    assert.equal(native.requests.length, 0)
    model.chat(user('x'), { tools: [], toolChoice: 'none', responseFormat: { type: 'text' } })
    model.chat(user('x'), { toolChoice: 'auto' })
    assert.equal(native.requests.length, 2)
  })

  test('are read once, from a copy', async () => {
    const { model, native } = open()
    let reads = 0
    model.generate('x', {
      get topK() {
        reads += 1
        return 5
      },
    })
    assert.equal(reads, 1)
    assert.equal(native.requests[0].options.topK, 5)
    const broken = {
      get topK() {
        throw new Error('from a getter')
      },
    }
    await assert.rejects(model.generate('x', broken), /from a getter/)
  })
})

describe('a prompt', () => {
  test('is text or tokens', async () => {
    const { model, native } = open()
    model.generate(Uint32Array.of(1, 2))
    model.generate([1, 2])
    for (const { prompt } of native.requests) assert.deepEqual(prompt, Uint32Array.of(1, 2))
    assert.match(await failure(() => model.generate(5)), /prompt must be a Uint32Array or an array.*got a number/)
    assert.equal(await failure(() => model.generate([1, -1])), 'invalid-request: prompt[1] is -1, which is no token number')
  })
})

describe('messages', () => {
  test('are written as OpenAI has them', () => {
    const { model, native } = open()
    const toolCalls = [{ id: 'a', type: 'function', function: { name: 'f', arguments: '{}' } }]
    model.chat(
      [
        { role: 'user', content: [{ type: 'text', text: 'hi' }] },
        { role: 'assistant', content: null, toolCalls, reasoning: 'hm' },
        { role: 'tool', content: '1', toolCallId: 'a' },
      ],
      { templateArgs: { enable_thinking: false }, addGenerationPrompt: true, maxTokens: 1 },
    )
    assert.deepEqual(native.requests[0], {
      messages: [
        { role: 'user', content: [{ type: 'text', text: 'hi' }] },
        { role: 'assistant', tool_calls: toolCalls, reasoning_content: 'hm' },
        { role: 'tool', content: '1', tool_call_id: 'a' },
      ],
      chatOptions: { template_args: { enable_thinking: false }, add_generation_prompt: true },
      options: { maxTokens: 1 },
    })
  })

  test('may be cut in the middle of an emoji', () => {
    const { model, native } = open()
    model.chat(user('😀'.slice(0, 1)))
    assert.equal(native.requests[0].messages[0].content, '\ufffd')
  })

  test('that are wrong are named with their place and field', async () => {
    const { model } = open()
    const wrong = [
      ['x', 'messages must be an array, got a string'],
      [[], 'messages must hold at least one message'],
      [[1], 'messages[0] must be an object, got a number'],
      [new Array(1), 'messages[0] must be an object, got undefined'],
      [[{ content: 'x' }], 'messages[0].role must be one of system, developer, user, assistant, tool, got undefined'],
      [[{ role: 'x', content: 'x' }], 'messages[0].role must be one of system, developer, user, assistant, tool, got "x"'],
      [[{ role: 'user' }], 'messages[0].content must be a string or an array of parts, got undefined'],
      [[{ role: 'user', content: 1 }], 'messages[0].content must be a string or an array of parts, got a number'],
      [user([{ type: 'image_url' }]), 'messages[0].content[0].imageUrl must be an object with a url, got undefined'],
      [user([{ type: 'text' }]), 'messages[0].content[0].text must be a string, got undefined'],
      [
        [...user('x'), { role: 'assistant', content: '', tool_calls: [] }],
        'messages[1].tool_calls is no field of a message; did you mean "toolCalls"?',
      ],
      [[{ role: 'assistant', toolCalls: [{}] }], 'messages[0].toolCalls[0].function must be an object, got undefined'],
      [[{ role: 'tool', content: 'x', toolCallId: 1 }], 'messages[0].toolCallId must be a string, got a number'],
    ]
    for (const [messages, message] of wrong) {
      assert.equal(await failure(() => model.chat(messages)), `invalid-request: ${message}`)
      assert.equal(await failure(() => model.countTokens(messages)), `invalid-request: ${message}`)
    }
    const loop = {}
    loop.self = loop
    assert.match(await failure(() => model.chat(user('x'), { templateArgs: loop })), /^invalid-request: templateArgs cannot/)
  })

  test('are answered with a message', async () => {
    const { model, native } = open()
    const chat = model.chat(user('x'))
    native.generations[0].write('hello').end()
    assert.deepEqual((await chat).message, { role: 'assistant', content: 'hello' })
  })
})

describe('tokens and templates', () => {
  test('are plain calls that throw', async () => {
    const { model, native } = open()
    assert.deepEqual(model.tokenize('ab'), Uint32Array.of(97, 98))
    assert.deepEqual(native.tokenized, { addSpecial: false, parseSpecial: false })
    model.tokenize('ab', { addSpecial: true, parseSpecial: true })
    assert.deepEqual(native.tokenized, { addSpecial: true, parseSpecial: true })
    assert.equal(model.detokenize([97, 98]), 'ab')
    assert.equal(model.countTokens(user('x')), 1)
    assert.equal(
      model.applyChatTemplate(user('x'), { addGenerationPrompt: false }),
      '[{"role":"user","content":"x"}]{"add_generation_prompt":false}',
    )
    assert.equal(await failure(() => model.tokenize(1)), 'invalid-request: text must be a string, got a number')
    assert.match(await failure(() => model.detokenize('ab')), /tokens must be a Uint32Array/)
  })
})

describe('embed', () => {
  test('gives vectors of length 1 unless told otherwise', async () => {
    const { model } = open()
    const one = await model.embed('a')
    assert.equal(one.usage.promptTokens, 1)
    assert.deepEqual(Array.from(one.embeddings[0], (x) => x.toFixed(4)), ['0.2308', '0.3077', '0.9231'])
    const raw = await model.embed(['a', 'b'], { normalize: false })
    assert.deepEqual(raw.embeddings, [Float32Array.of(3, 4, 12), Float32Array.of(3, 4, 12)])
    const cut = await model.embed('a', { dimensions: 2 })
    assert.deepEqual(cut.embeddings[0], Float32Array.of(0.6, 0.8))
  })

  test('refuses what it cannot do', async () => {
    const { model } = open()
    assert.match(await failure(() => model.embed('a', { dimensions: 4 })), /dimensions must be .* between 1 and 3, got 4/)
    assert.match(await failure(() => model.embed(['a', 1])), /input\[1\] must be a string, got a number/)
    assert.match(await failure(() => model.embed(null)), /input must be a string or an array of strings, got null/)
    assert.deepEqual(await model.embed([]), { embeddings: [], usage: { promptTokens: 0 } })
  })
})

describe('LoRA adapters', () => {
  test('are chosen by name, at the scale they were loaded with or another', async () => {
    const { model, native } = open()
    await model.loadLora('pirate.gguf', { name: 'pirate', scale: 0.5 })
    await model.loadLora(pathToFileURL('/bard.gguf'), { name: 'bard' })
    assert.deepEqual(model.loras, [
      { name: 'pirate', path: 'pirate.gguf', scale: 0.5 },
      { name: 'bard', path: '/bard.gguf', scale: 1 },
    ])
    model.generate('x', { lora: 'pirate' })
    model.generate('x', { lora: { pirate: 2, bard: 0 } })
    assert.deepEqual(native.requests.map(({ options }) => options), [
      { loraNames: ['pirate'], loraScales: [0.5] },
      { loraNames: ['pirate', 'bard'], loraScales: [2, 0] },
    ])
    assert.equal(
      await failure(() => model.generate('x', { lora: 'poet' })),
      'invalid-request: lora "poet" is not loaded; there are "pirate", "bard"',
    )
    assert.equal(await model.unloadLora('pirate'), true)
    assert.equal(await model.unloadLora('missing'), false)
    assert.deepEqual(model.loras.map(({ name }) => name), ['bard'])
  })

  test('have a name of their own, and are forgotten when their load fails', async () => {
    const { model } = open()
    const first = model.loadLora('a.gguf', { name: 'a' })
    assert.match(await failure(() => model.loadLora('b.gguf', { name: 'a' })), /name "a" is taken/)
    await first
    assert.match(await failure(() => model.loadLora('x', { name: 'broken' })), /^model-invalid/)
    assert.match(await failure(() => model.loadLora('x')), /name must be given/)
    assert.deepEqual(model.loras.length, 1)
  })
})

describe('close', () => {
  test('is idempotent, ends what runs, and closes every method', async () => {
    const { model } = open()
    const running = model.generate('x')
    const closing = model.close()
    assert.equal(model.close(), closing)
    await model[Symbol.asyncDispose]()
    assert.equal((await running).finishReason, 'cancelled')
    const calls = [
      () => model.generate('x'),
      () => model.chat(user('x')),
      () => model.tokenize('x'),
      () => model.detokenize([]),
      () => model.countTokens(user('x')),
      () => model.applyChatTemplate(user('x')),
      () => model.embed('x'),
      () => model.loadLora('x', { name: 'x' }),
      () => model.unloadLora('x'),
      () => model.stats(),
    ]
    for (const call of calls) assert.equal(await failure(call), 'closed: the model is closed')
    assert.equal(model.info.architecture, 'mock')
  })
})

describe('loading', () => {
  /** An addon whose one load a test ends. */
  function loader() {
    const state = { cancels: 0 }
    const promise = new Promise((resolve) => (state.end = resolve))
    const binding = () => ({
      loadModel(path, options, onProgress, onLog) {
        Object.assign(state, { path, options, onProgress, onLog })
        return { promise: () => promise, cancel: () => (state.cancels += 1) }
      },
    })
    return { state, load: (path, options) => loadNative(path, options, undefined, binding) }
  }

  test('hands the options over and resolves to the model', async () => {
    const { state, load } = loader()
    const loading = load('a.gguf', { contextSize: 512, gpuLayers: 'auto', mmap: false, isolate: false, contextOverflow: 'error' })
    const model = new MockModel()
    state.end(model)
    assert.equal(await loading, model)
    assert.equal(state.path, 'a.gguf')
    const { npu, engineProgram, ...plain } = state.options
    assert.deepEqual(plain, { contextSize: 512, mmap: false, isolate: false, contextOverflow: 'error', gpuLayers: -1 })
    assert.equal(engineProgram.program, process.execPath)
    assert.deepEqual(Object.keys(npu), ['addonFolder'])
    assert.deepEqual([state.onProgress, state.onLog], [null, null])
  })

  test('takes file URLs and refuses anything else that is no path', async () => {
    const { state, load } = loader()
    state.end(new MockModel())
    await load(pathToFileURL('/a b.gguf'))
    assert.equal(state.path, '/a b.gguf')
    assert.match(await failure(() => load(5)), /^invalid-request: path must be a string or a file: URL, got a number/)
    assert.match(await failure(() => load('')), /path must not be empty/)
    assert.match(await failure(() => load(new URL('https://a/b'))), /path must be a file: URL, got https:/)
  })

  test('refuses options it does not know or cannot honour', async () => {
    const { load } = loader()
    const refused = [
      [{ contextsize: 1 }, 'invalid-request: unknown option "contextsize"; did you mean "contextSize"?'],
      [{ threads: '4' }, 'invalid-request: threads must be a number, got a string'],
      [{ gpuLayers: -1 }, "invalid-request: gpuLayers must be 'auto' or a number of layers, got a number"],
      [{ draftModel: 1 }, 'invalid-request: draftModel must be a path or a file: URL, got a number'],
      [{ mmproj: 1 }, 'invalid-request: mmproj must be a path or a file: URL, got a number'],
      [{ isolate: 1 }, 'invalid-request: isolate must be a boolean, got a number'],
      [{ contextOverflow: 'truncate' }, 'unsupported: contextOverflow is not supported by this version except "error" or "shift"'],
    ]
    for (const [options, message] of refused) assert.equal(await failure(() => load('a', options)), message)
  })

  test('rejects with the error of the engine', async () => {
    const { state, load } = loader()
    state.end(nativeError('insufficient-memory', 'too big', { details: { needed: 2, available: 1 } }))
    await assert.rejects(load('a'), { code: 'insufficient-memory', details: { needed: 2, available: 1 } })
  })

  test('reports progress that only rises, up to 1', async () => {
    const { state, load } = loader()
    const heard = []
    const loading = load('a', { onProgress: (fraction) => heard.push(fraction) })
    for (const fraction of [0, 0.5, 0.2, 0.5, NaN, 0.9]) state.onProgress(fraction)
    state.end(new MockModel())
    await loading
    assert.deepEqual(heard, [0, 0.5, 0.9, 1])
  })

  test('is cancelled by a callback that throws', async () => {
    const { state, load } = loader()
    const error = new Error('from the callback')
    const loading = load('a', {
      onProgress: () => {
        throw error
      },
    })
    state.onProgress(0.1)
    await assert.rejects(loading, (thrown) => thrown === error)
    assert.equal(state.cancels, 1)
  })

  test('does not start when its signal is aborted already', async () => {
    const { state, load } = loader()
    await assert.rejects(load('a', { signal: AbortSignal.abort('no') }), (reason) => reason === 'no')
    assert.equal(state.path, undefined)
  })

  test('rejects at once on abort, and closes a model that came too late', async () => {
    const { state, load } = loader()
    const controller = new AbortController()
    const loading = load('a', { signal: controller.signal })
    controller.abort('no')
    await assert.rejects(loading, (reason) => reason === 'no')
    assert.equal(state.cancels, 1)
    const late = new MockModel()
    const closed = new Promise((resolve) => (late.close = resolve))
    state.end(late)
    await closed
  })
})

describe('RkllmError', () => {
  test('is known across copies of the package', () => {
    const other = Object.assign(new Error('from another copy'), { [Symbol.for('rkllmjs.RkllmError')]: true })
    assert.equal(RkllmError.is(other), true)
    assert.equal(RkllmError.is(new RkllmError('closed', 'x')), true)
    for (const value of [new Error('x'), { code: 'closed' }, null, undefined, 'closed']) {
      assert.equal(RkllmError.is(value), false)
    }
  })

  test('knows what is worth retrying and keeps its cause', () => {
    const cause = new Error('behind it')
    const error = new RkllmError('overloaded', 'full', { cause })
    assert.equal(error.retryable, true)
    assert.equal(error.cause, cause)
    assert.equal(String(error), 'RkllmError: full')
    assert.equal(new RkllmError('closed', 'x').retryable, false)
    assert.equal('cause' in new RkllmError('closed', 'x'), false)
  })
})

// tool() and runTools(): the loop against a scripted model, and the bundled one over every engine.
import assert from 'node:assert/strict'
import { setImmediate as turn, setTimeout as delay } from 'node:timers/promises'
import { after, before, describe, test } from 'node:test'
import { toStandardJsonSchema } from '@valibot/to-json-schema'
import { type } from 'arktype'
import * as v from 'valibot'
import { z } from 'zod'
import { loadModel, tool } from 'rkllmjs'
import { standinLibrary, standinModelPath } from 'rkllmjs/standin'

import { call, scripted } from './mock/scripted.mjs'
import { nativeError } from './mock/native.mjs'
import { isError, partsOf, until, user } from './support/expect.mjs'
import { openTiny } from './support/models.mjs'

const QUESTION = [user('How is the weather in Oslo?')]

/** A tool that answers with what `execute` gives. */
const weather = (execute = ({ city }) => `fine in ${city}`) =>
  tool({ name: 'weather', description: 'The weather in a city', input: z.object({ city: z.string() }), execute })

const oslo = call('c1', 'weather', { city: 'Oslo' })

/** A run in which the model makes these calls and then says so much. */
function run(tools, calls, options) {
  const { native, model } = scripted({ calls }, 'done')
  return { native, answer: model.runTools(QUESTION, { tools, ...options }) }
}

/** What the model got to read about its one call. */
async function told(made, given = { city: 'Oslo' }) {
  const { steps } = await run([made], [call('c1', made.name, given)]).answer
  return steps[0].toolResults[0]
}

describe('tool()', () => {
  test('tells the model what it is', () => {
    const { name, definition } = weather()
    assert.equal(name, 'weather')
    const { parameters, ...rest } = definition.function
    assert.deepEqual([definition.type, rest], ['function', { name: 'weather', description: 'The weather in a city' }])
    assert.deepEqual([parameters.type, parameters.properties], ['object', { city: { type: 'string' } }])
    assert.equal('$schema' in parameters, false)
  })

  test('takes any schema, or none', async () => {
    const inputs = [
      z.object({ city: z.string() }),
      type({ city: 'string' }),
      toStandardJsonSchema(v.object({ city: v.string() })),
      { schema: v.object({ city: v.string() }), jsonSchema: { type: 'object', properties: { city: { type: 'string' } } } },
      { type: 'object', properties: { city: { type: 'string' } } },
    ]
    for (const input of inputs) {
      const made = tool({ name: 'weather', input, execute: ({ city }) => city })
      assert.deepEqual(made.definition.function.parameters.properties.city.type, 'string')
      assert.equal((await told(made)).content, 'Oslo')
    }
    const none = tool({ name: 'now', execute: () => 12 })
    assert.deepEqual(none.definition.function.parameters, { type: 'object', properties: {} })
  })

  test('refuses what is no tool', () => {
    const execute = () => 1
    const wrong = [
      [undefined, /^a tool must be an object, got undefined/],
      [{ execute }, /^name must be 1 to 64 letters/],
      [{ name: 'a b', execute }, /^name must be .*, got "a b"/],
      [{ name: 'x'.repeat(65), execute }, /^name must be/],
      [{ name: 'x' }, /^execute must be a function, got undefined/],
      [{ name: 'x', description: 5, execute }, /^description must be a string, got a number/],
      [{ name: 'x', input: 5, execute }, /^input must be a Standard Schema/],
      [{ name: 'x', input: true, execute }, /^input must be the schema of an object/],
      [{ name: 'x', input: v.object({}), execute }, /^input does not tell its JSON Schema: pass toStandardJsonSchema/],
    ]
    for (const [options, message] of wrong) assert.throws(() => tool(options), isError('invalid-request', message))
  })
})

describe('a run', () => {
  test('calls the tool and asks again with what it gave', async () => {
    const { native, answer } = run([weather()], [oslo], { maxTokens: 9 })
    const result = await answer
    assert.deepEqual([result.text, result.finishReason, result.steps.length], ['done', 'stop', 2])
    const asking = { role: 'assistant', content: '', toolCalls: [{ id: 'c1', type: 'function', function: { name: 'weather', arguments: '{"city":"Oslo"}' } }] }
    const told = { role: 'tool', content: 'fine in Oslo', toolCallId: 'c1', name: 'weather' }
    assert.deepEqual(result.messages, [...QUESTION, asking, told, { role: 'assistant', content: 'done' }])
    assert.deepEqual(native.requests.map(({ messages }) => messages.length), [1, 3])
    for (const { chatOptions, options } of native.requests) {
      assert.deepEqual(chatOptions.tools, [weather().definition])
      assert.deepEqual(options, { maxTokens: 9 })
    }
    const [first] = result.steps
    assert.deepEqual(first.toolResults, [{ toolCallId: 'c1', name: 'weather', input: { city: 'Oslo' }, output: 'fine in Oslo', content: 'fine in Oslo', isError: false }])
  })

  test('without calls is one answer', async () => {
    const { model } = scripted('hello')
    const { text, steps, messages } = await model.runTools(QUESTION, { tools: [weather()] })
    assert.deepEqual([text, steps.length, messages.length], ['hello', 1, 2])
  })

  test('leaves the messages it was given alone', async () => {
    const given = [...QUESTION]
    const { model } = scripted({ calls: [oslo] }, 'done')
    await model.runTools(given, { tools: [weather()] })
    assert.deepEqual(given, QUESTION)
  })

  test('executes the calls of one answer at the same time and keeps their order', async () => {
    const ended = []
    let running = 0
    let most = 0
    const made = weather(async ({ city }) => {
      most = Math.max(most, (running += 1))
      await delay(city === 'A' ? 30 : 1)
      running -= 1
      ended.push(city)
      return city
    })
    const calls = ['A', 'B', 'C'].map((city) => call(city, 'weather', { city }))
    const { answer } = run([made], calls)
    const parts = await partsOf(answer)
    const { steps, messages } = await answer
    assert.equal(most, 3)
    assert.deepEqual(ended.at(-1), 'A')
    assert.deepEqual(steps[0].toolResults.map(({ content }) => content), ['A', 'B', 'C'])
    assert.deepEqual(messages.filter(({ role }) => role === 'tool').map(({ toolCallId }) => toolCallId), ['A', 'B', 'C'])
    assert.deepEqual(parts.filter((part) => part.type === 'tool-result').map((part) => part.content), ended)
  })

  test('gives the tool the input that its schema makes, and the call’s circumstances', async () => {
    let heard
    const input = z.object({ city: z.string().transform((city) => city.length) })
    const made = tool({ name: 'weather', input, execute: (...given) => void (heard = given) })
    await told(made)
    const [given, { toolCallId, messages, signal }] = heard
    assert.deepEqual([given, toolCallId, messages.length, messages.at(-1).toolCalls.length], [{ city: 4 }, 'c1', 2, 1])
    assert.equal(signal.aborted, false)
  })

  const results = [
    ['text', 'as it is', 'as it is'],
    ['an object', { degrees: 23 }, '{"degrees":23}'],
    ['a list', [1, 'x'], '[1,"x"]'],
    ['nothing', undefined, 'null'],
    ['a promise', Promise.resolve(5), '5'],
    ['what has a JSON of its own', new Date(0), '"1970-01-01T00:00:00.000Z"'],
  ]
  for (const [name, output, content] of results) {
    test(`tells the model ${name} as ${content}`, async () => {
      const result = await told(weather(() => output))
      assert.deepEqual([result.content, result.isError], [content, false])
    })
  }

  const loop = {}
  loop.self = loop
  const thrown = (what) => () => {
    throw what
  }
  const failures = [
    ['an error, without its stack', thrown(new Error('no network\nat secret.js:5')), /^Error: no network$/],
    ['text', thrown('no network'), /^Error: no network$/],
    ['nothing', thrown(undefined), /^Error: the tool failed$/],
    ['a rejection', () => Promise.reject(new Error('later')), /^Error: later$/],
    ['a very long line', thrown(new Error('x'.repeat(10_000))), /^Error: x{300}…$/],
    ['a cycle', () => loop, /^Error: the result cannot be written as JSON: /],
    ['a bigint', () => 5n, /^Error: the result cannot be written as JSON: /],
    ['too much', () => 'é'.repeat(40_000), /^Error: the result has 80000 bytes, at most 65536 are allowed/],
  ]
  for (const [name, execute, content] of failures) {
    test(`tells the model of a tool that ends with ${name}, and goes on`, async () => {
      const result = await told(weather(execute))
      assert.match(result.content, content)
      assert.equal(result.isError, true)
      assert.equal('error' in result, true)
      assert.equal('output' in result, false)
    })
  }

  test('tells the model of a tool that there is none of, and of arguments that do not fit', async () => {
    const { answer } = run([weather()], [call('a', 'wether'), call('b', 'weather', { city: 5 }), call('c', 'weather', { city: 'Oslo' })])
    const [unknown, wrong, right] = (await answer).steps[0].toolResults
    assert.equal(unknown.content, 'Error: there is no tool "wether"; there is weather')
    assert.match(wrong.content, /^Error: the arguments do not fit: city: .*string/)
    assert.deepEqual([unknown.isError, wrong.isError, right.isError], [true, true, false])
  })

  test('ends after maxSteps, its calls executed, ready to go on', async () => {
    let executed = 0
    const { model, native } = scripted({ calls: [oslo] }, { calls: [oslo] }, 'never')
    const result = await model.runTools(QUESTION, { tools: [weather(() => (executed += 1))], maxSteps: 2 })
    assert.deepEqual([result.finishReason, result.steps.length, executed, native.requests.length], ['tool-calls', 2, 2, 2])
    assert.deepEqual(result.messages.map(({ role }) => role), ['user', 'assistant', 'tool', 'assistant', 'tool'])
  })

  test('takes 8 steps unless told otherwise', async () => {
    const { model } = scripted(...Array(20).fill({ calls: [oslo] }))
    assert.equal((await model.runTools(QUESTION, { tools: [weather()] })).steps.length, 8)
  })

  test('executes at most 64 calls of an answer and tells of the others', async () => {
    let executed = 0
    const calls = Array.from({ length: 70 }, (_, at) => call(`c${at}`, 'weather', { city: 'Oslo' }))
    const { steps } = await run([weather(() => (executed += 1))], calls).answer
    assert.deepEqual([executed, steps[0].toolResults.length], [64, 70])
    assert.match(steps[0].toolResults.at(-1).content, /^Error: at most 64 calls/)
  })

  test('demands a call once and forbids it throughout', async () => {
    const chosen = async (toolChoice) => {
      const { native, answer } = run([weather()], [oslo], { toolChoice })
      await answer
      return native.requests.map(({ chatOptions }) => chatOptions.tool_choice)
    }
    assert.deepEqual(await chosen('required'), ['required', undefined])
    assert.deepEqual(await chosen({ type: 'function', function: { name: 'weather' } }).then((all) => all[1]), undefined)
    assert.deepEqual(await chosen('none'), ['none', 'none'])
  })

  test('adds up what its steps cost', async () => {
    const { usage, steps } = await run([weather()], [oslo]).answer
    assert.deepEqual(usage, { promptTokens: 4, completionTokens: 1, cachedTokens: 0 })
    assert.deepEqual(steps.map((step) => step.usage.completionTokens), [0, 1])
  })

  test('tells onStep of each step and waits for it', async () => {
    const heard = []
    const onStep = async ({ step, toolResults }) => {
      await turn()
      heard.push([step, toolResults.length])
    }
    const { native, answer } = run([weather()], [oslo], { onStep: (step) => (assert.equal(native.requests.length, step.step + 1), onStep(step)) })
    await answer
    assert.deepEqual(heard, [[0, 1], [1, 0]])
    const error = new Error('from onStep')
    await assert.rejects(run([weather()], [oslo], { onStep: thrown(error) }).answer, (thrown) => thrown === error)
  })

  test('fails with the error of the engine', async () => {
    const { model } = scripted({ calls: [oslo] }, { error: nativeError('context-exceeded', 'full') })
    await assert.rejects(model.runTools(QUESTION, { tools: [weather()] }), isError('context-exceeded'))
  })

  test('has options that are checked', async () => {
    const { model, native } = scripted()
    const wrong = [
      [undefined, /^tools must be given/],
      [{}, /^tools must be given/],
      [{ tools: [weather().definition] }, /^tools\[0\] must be made by tool\(\), got an object/],
      [{ tools: new Array(1) }, /^tools\[0\] must be made by tool\(\), got undefined/],
      [{ tools: [weather(), weather()] }, /^tools\[1\] has the name "weather" of another tool/],
      [{ tools: {} }, /^tools must be an array, got an object/],
      [{ tools: [], maxSteps: 0 }, /^maxSteps must be a whole number from 1 to 100, got 0/],
      [{ tools: [], maxSteps: 1.5 }, /^maxSteps must be/],
      [{ tools: [], maxSteps: 101 }, /^maxSteps must be/],
      [{ tools: [], toolTimeoutMs: 2 ** 31 }, /^toolTimeoutMs must be a whole number from 1 to 2147483647/],
      [{ tools: [], toolTimeoutMs: NaN }, /^toolTimeoutMs must be/],
      [{ tools: [], onStep: 5 }, /^onStep must be a function/],
      [{ tools: [], n: 2 }, /^unknown option "n"/],
      [{ tools: [], max_steps: 2 }, /did you mean "maxSteps"/],
    ]
    for (const [options, message] of wrong) {
      await assert.rejects(model.runTools(QUESTION, options), isError('invalid-request', message))
    }
    await assert.rejects(model.runTools('x', { tools: [] }), isError('invalid-request', /^messages must be an array, got a string/))
    await assert.rejects(model.runTools([], { tools: [] }), isError('invalid-request', /at least one message/))
    assert.equal(native.requests.length, 0)
  })
})

describe('a run that is stopped', () => {
  /** A tool that says when it works and ends only when it is told to. */
  function patient() {
    const state = { begun: false, reason: undefined }
    state.tool = weather(
      (_, { signal }) =>
        new Promise(() => {
          state.begun = true
          signal.addEventListener('abort', () => (state.reason = signal.reason))
        }),
    )
    return state
  }

  test('by its signal while a tool works, rejects at once and tells the tool', async () => {
    const controller = new AbortController()
    const state = patient()
    const { answer, native } = run([state.tool], [oslo], { signal: controller.signal })
    await until(() => state.begun)
    controller.abort('enough')
    await assert.rejects(answer, (reason) => reason === 'enough')
    assert.equal(state.reason, 'enough')
    await turn()
    assert.equal(native.requests.length, 1)
  })

  test('by its signal while the model writes, rejects at once', async () => {
    const controller = new AbortController()
    const { model, native } = scripted()
    const answer = model.runTools(QUESTION, { tools: [weather()], signal: controller.signal })
    native.generations[0].write('some')
    controller.abort('enough')
    await assert.rejects(answer, (reason) => reason === 'enough')
    assert.equal(answer.partialText, 'some')
    await assert.rejects(model.runTools(QUESTION, { tools: [], signal: controller.signal }), (reason) => reason === 'enough')
    assert.equal(native.requests.length, 1)
  })

  test('by cancel() while a tool works, resolves with a whole transcript', async () => {
    const state = patient()
    const { answer } = run([state.tool], [oslo])
    await until(() => state.begun)
    answer.cancel()
    const { finishReason, messages } = await answer
    assert.equal(finishReason, 'cancelled')
    assert.equal(state.reason.name, 'AbortError')
    assert.deepEqual(messages.at(-1), { role: 'tool', content: 'Error: the answer was cancelled', toolCallId: 'c1', name: 'weather' })
  })

  test('by cancel() while the model writes, resolves with what there is', async () => {
    const { model, native } = scripted()
    const answer = model.runTools(QUESTION, { tools: [weather()] })
    native.generations[0].write('so far')
    answer.cancel()
    const { text, finishReason, messages } = await answer
    assert.deepEqual([text, finishReason, messages.at(-1).content], ['so far', 'cancelled', 'so far'])
    const silent = model.runTools(QUESTION, { tools: [weather()] })
    silent.cancel()
    assert.deepEqual((await silent).messages, QUESTION, 'an answer that never began is not said')
  })

  test('by a break, in whichever step', async () => {
    const { model, native } = scripted({ calls: [oslo] })
    for await (const part of model.runTools(QUESTION, { tools: [weather()] })) {
      if (part.type === 'tool-result') break
    }
    await until(() => native.generations.every(({ ended }) => ended))
  })

  test('a tool that takes too long is told so, and so is the model', async () => {
    const state = patient()
    const { answer } = run([state.tool], [oslo], { toolTimeoutMs: 20 })
    const { steps, text } = await answer
    assert.equal(steps[0].toolResults[0].content, 'Error: the tool took longer than 20 ms')
    assert.match(state.reason.message, /longer than 20 ms/)
    assert.equal(text, 'done')
  })
})

describe('the parts of a run', () => {
  test('come from every step, each with its number', async () => {
    const { answer } = run([weather()], [oslo])
    const parts = await partsOf(answer)
    assert.deepEqual(
      parts.map(({ type, step }) => [type, step]),
      [
        ['tool-call-delta', 0],
        ['tool-call', 0],
        ['step-finish', 0],
        ['tool-result', 0],
        ['text-delta', 1],
        ['step-finish', 1],
        ['finish', undefined],
      ],
    )
    const { usage } = await answer
    assert.deepEqual(parts.at(-1), { type: 'finish', finishReason: 'stop', usage, steps: 2 })
    assert.deepEqual(await partsOf(answer), parts, 'a late loop gets them again')
  })

  test('reach a loop that begins in the middle', async () => {
    const { model, native } = scripted({ calls: [oslo] })
    const answer = model.runTools(QUESTION, { tools: [weather()] })
    await until(() => native.generations.length === 2)
    const reading = partsOf(answer)
    native.generations[1].write('the ').flush()
    await turn()
    native.generations[1].write('end').end()
    const parts = await reading
    assert.equal(parts.filter(({ type }) => type === 'text-delta').map(({ text }) => text).join(''), 'the end')
    assert.equal(parts.filter(({ type }) => type === 'tool-result').length, 1)
  })

  test('end with the error where the run fails', async () => {
    const { model } = scripted({ calls: [oslo] }, { error: nativeError('engine-failed', 'broken') })
    const types = []
    await assert.rejects(async () => {
      for await (const { type } of model.runTools(QUESTION, { tools: [weather()] })) types.push(type)
    }, isError('engine-failed'))
    assert.deepEqual(types, ['tool-call-delta', 'tool-call', 'step-finish', 'tool-result'])
  })
})

const GREEDY = { temperature: 0, topK: 1, repeatPenalty: 1 }
// Some of these take such options when they are loaded and never again.
const runtime = (abi) => loadModel(standinModelPath(), { libraryPath: standinLibrary(abi), contextSize: 512, ...GREEDY })
const engines = [
  ['llama.cpp', () => openTiny(), GREEDY],
  ['an NPU runtime of 1.2', () => runtime('1.2')],
  ['an NPU runtime of 1.3', () => runtime('1.3')],
]
for (const [name, open, options] of engines) {
  describe(`over ${name}`, () => {
    let model
    before(async () => (model = await open()))
    after(() => model.close())

    test('the loop finishes with an answer that uses the result', async () => {
      const asked = []
      const made = tool({
        name: 'weather',
        input: z.object({ city: z.string() }),
        execute: ({ city }) => (asked.push(city), { temperature: 23, condition: 'windy', unit: 'C' }),
      })
      const answer = model.runTools([user('How is the weather in Steanox?')], { tools: [made], ...options })
      const { text, finishReason, steps } = await answer
      assert.deepEqual(asked, ['Steanox'])
      assert.deepEqual([text, finishReason, steps.length], ['It is windy and 23 degrees in Steanox.', 'stop', 2])
    })
  })
}

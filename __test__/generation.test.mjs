import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { getEventListeners } from 'node:events'
import { describe, test } from 'node:test'
import { setImmediate as nextTurn } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'

import { RkllmError } from '../dist/error.js'
import { LlamaModel } from '../dist/llama-model.js'
import { MockModel, nativeError } from './mock/native.mjs'

// Any of these would be a failure of every test below.
const strays = []
process.on('unhandledRejection', (error) => strays.push(error))
process.on('warning', (warning) => strays.push(warning))

function begin(options, prompt = 'a prompt') {
  const native = new MockModel()
  const model = new LlamaModel(native)
  const generation = model.generate(prompt, options)
  return { native, model, generation, engine: native.generations[0] }
}

async function collect(generation) {
  const parts = []
  for await (const part of generation) parts.push(part)
  return parts
}

const textOf = (parts) => parts.filter((part) => part.type === 'text-delta').map((part) => part.text)

const isError = (code, message) => (error) => {
  assert.ok(RkllmError.is(error), `${error} is no RkllmError`)
  assert.equal(error.code, code)
  if (message !== undefined) assert.match(error.message, message)
  return true
}

describe('a generation that is awaited', () => {
  test('resolves to text, tokens, usage and timings, and never asks for parts', async () => {
    const { generation, engine } = begin()
    engine.write('Hel', [1, 2]).write('lo', [3])
    engine.end({ finishReason: 'length' })
    const result = await generation
    assert.equal(engine.flow, 'folding')
    assert.equal(result.text, 'Hello')
    assert.deepEqual(result.tokens, Uint32Array.of(1, 2, 3))
    assert.equal(result.finishReason, 'length')
    assert.deepEqual(result.usage, { promptTokens: 2, completionTokens: 3, cachedTokens: 0 })
    assert.equal(result.timings.decodeMs, 4)
    assert.deepEqual(result.choices, [
      { index: 0, text: 'Hello', tokens: Uint32Array.of(1, 2, 3), finishReason: 'length' },
    ])
    assert.equal('logprobs' in result, false)
  })

  test('is one execution however often it is awaited', async () => {
    const { generation, engine, native } = begin()
    engine.write('once').end()
    const [first, second] = await Promise.all([generation, generation])
    assert.equal(first, second)
    assert.equal(native.generations.length, 1)
  })

  test('has the methods and the name of a promise', async () => {
    const { generation, engine } = begin()
    const order = []
    const chained = generation.finally(() => order.push('finally')).then(({ text }) => text)
    engine.write('x').end()
    assert.equal(await chained, 'x')
    assert.deepEqual(order, ['finally'])
    assert.equal(String(generation), '[object Generation]')
  })

  test('rejects with the code, the message and the facts of the engine', async () => {
    const { generation, engine } = begin()
    const details = { promptTokens: 9, contextSize: 8 }
    engine.end({ error: nativeError('context-exceeded', 'too long', { details }) })
    await assert.rejects(generation, (error) => {
      assert.deepEqual(error.toJSON(), {
        name: 'RkllmError',
        code: 'context-exceeded',
        message: 'too long',
        retryable: false,
        details,
      })
      return error instanceof RkllmError
    })
    assert.equal(await generation.catch(({ code }) => code), 'context-exceeded')
  })

  test('keeps the choices apart when there are several', async () => {
    const { generation, engine } = begin({ n: 2 })
    engine.write('a', [1]).write('b', [2], { index: 1 }).end()
    const { text, choices } = await generation
    assert.equal(text, 'a')
    assert.deepEqual(choices.map(({ text, index }) => [index, text]), [[0, 'a'], [1, 'b']])
  })
})

describe('a generation that is iterated', () => {
  test('gives the parts as they come and then the finish', async () => {
    const { generation, engine } = begin()
    const parts = collect(generation)
    engine.write('a', [1]).flush()
    await nextTurn()
    engine.write('', [2]).write('b', [3]).flush().end()
    assert.deepEqual(await parts, [
      { type: 'text-delta', text: 'a', tokens: [1], index: 0 },
      { type: 'text-delta', text: '', tokens: [2], index: 0 },
      { type: 'text-delta', text: 'b', tokens: [3], index: 0 },
      {
        type: 'finish',
        finishReason: 'stop',
        usage: { promptTokens: 2, completionTokens: 3, cachedTokens: 0 },
        timings: (await generation).timings,
      },
    ])
    assert.equal((await generation).text, 'ab')
  })

  test('carries logprobs where they were asked for', async () => {
    const logprobs = [{ token: 1, text: 'a', bytes: [97], logprob: -0.5, top: [] }]
    const { generation, engine } = begin({ logprobs: true })
    const parts = collect(generation)
    engine.write('a', [1], { logprobs }).end()
    assert.deepEqual((await parts)[0].logprobs, logprobs)
    assert.deepEqual((await generation).logprobs, logprobs)
  })

  test('begins with the text so far when the reader comes late', async () => {
    const { generation, engine } = begin()
    engine.write('early ', [1, 2])
    const parts = collect(generation)
    await nextTurn()
    engine.write('late', [3]).flush().end()
    assert.deepEqual(textOf(await parts), ['early ', 'late'])
  })

  test('replays each choice as one part when the reader comes after the end', async () => {
    const { generation, engine } = begin({ n: 2 })
    engine.write('a', [1]).write('x', [7], { index: 1 }).write('b', [2]).end()
    await generation
    const parts = await collect(generation)
    assert.deepEqual(parts.slice(0, 2), [
      { type: 'text-delta', text: 'ab', tokens: [1, 2], index: 0 },
      { type: 'text-delta', text: 'x', tokens: [7], index: 1 },
    ])
    assert.equal(parts[2].type, 'finish')
    assert.equal(engine.flow, 'folding')
  })

  test('replays again for each reader after the first is through', async () => {
    const { generation, engine } = begin()
    const first = collect(generation)
    engine.write('a').write('b').end()
    assert.deepEqual(textOf(await first), ['a', 'b'])
    assert.deepEqual(textOf(await collect(generation)), ['ab'])
    assert.deepEqual(textOf(await collect(generation)), ['ab'])
  })

  test('throws the error after the parts before it, then is done', async () => {
    const { generation, engine } = begin()
    const iterator = generation[Symbol.asyncIterator]()
    const first = iterator.next()
    engine.write('a').write('b').end({ error: nativeError('engine-failed', 'broke', { retryable: true }) })
    assert.equal((await first).value.text, 'a')
    assert.equal((await iterator.next()).value.text, 'b')
    await assert.rejects(iterator.next(), isError('engine-failed', /broke/))
    assert.deepEqual(await iterator.next(), { done: true, value: undefined })
    assert.deepEqual(await rejectedParts(generation), { texts: ['ab'], code: 'engine-failed' })
  })

  test('answers several pending next calls in their order', async () => {
    const { generation, engine } = begin()
    const iterator = generation[Symbol.asyncIterator]()
    const pending = Promise.all([iterator.next(), iterator.next(), iterator.next(), iterator.next()])
    engine.write('a').write('b').end()
    const results = await pending
    assert.deepEqual(results.map(({ value }) => value?.text ?? value?.type), ['a', 'b', 'finish', undefined])
    assert.equal(results[3].done, true)
  })

  test('refuses a second reader while the first one reads', async () => {
    const { generation, engine } = begin()
    const first = collect(generation)
    await assert.rejects(collect(generation), isError('invalid-request', /already/))
    assert.equal(engine.cancels, 0)
    engine.write('a').end()
    assert.deepEqual(textOf(await first), ['a'])
  })

  test('takes no notice of an iterator that nobody asked for a part', async () => {
    const { generation, engine } = begin()
    generation[Symbol.asyncIterator]()
    assert.equal(engine.flow, 'folding')
    engine.write('a').end()
    assert.equal((await generation).text, 'a')
  })

  test('cancels on break, resolves, and replays what there was', async () => {
    const { generation, engine } = begin()
    setImmediate(() => engine.write('a').write('b').flush())
    for await (const part of generation) {
      assert.equal(part.text, 'a')
      break
    }
    assert.equal(engine.cancels, 1)
    assert.deepEqual(textOf(await collect(generation)), ['ab'])
    assert.equal((await generation).finishReason, 'cancelled')
  })

  test('cancels when its iterator returns before the first part', async () => {
    const { generation, engine } = begin()
    await generation[Symbol.asyncIterator]().return()
    assert.equal(engine.cancels, 1)
    assert.equal((await generation).finishReason, 'cancelled')
  })

  test('ends a pending next when its iterator returns', async () => {
    const { generation } = begin()
    const iterator = generation[Symbol.asyncIterator]()
    const pending = iterator.next()
    await iterator.return()
    assert.deepEqual(await pending, { done: true, value: undefined })
    assert.equal((await generation).finishReason, 'cancelled')
  })

  test('does not cancel when the loop is left after the end', async () => {
    const { generation, engine } = begin()
    engine.write('a').end()
    await generation
    for await (const _ of generation) break
    assert.equal(engine.cancels, 0)
  })
})

async function rejectedParts(generation) {
  const texts = []
  try {
    for await (const part of generation) if (part.type === 'text-delta') texts.push(part.text)
  } catch (error) {
    return { texts, code: error.code ?? error }
  }
  return { texts }
}

describe('the flow of a stream', () => {
  test('never lets more than 64 parts wait, and every part is acknowledged in batches', async () => {
    const { generation, engine } = begin()
    const total = 1000
    let written = 0
    engine.onRoom = () => setImmediate(fill)
    const fill = () => {
      while (engine.hasRoom && written < total) engine.write('x', [(written += 1)])
      engine.flush()
      if (written === total) engine.end()
    }
    const parts = collect(generation)
    setImmediate(fill)
    assert.equal((await parts).length, total + 1)
    assert.ok(engine.unreadMost <= 64, `${engine.unreadMost} parts waited`)
    assert.ok(engine.acknowledgements.length < total / 10, `${engine.acknowledgements.length} acknowledgements`)
  })

  test('acknowledges 16 at a time', async () => {
    const { generation, engine } = begin()
    const iterator = generation[Symbol.asyncIterator]()
    const first = iterator.next()
    for (let i = 0; i < 20; i += 1) engine.write('x')
    engine.flush()
    await first
    for (let i = 1; i < 20; i += 1) await iterator.next()
    assert.deepEqual(engine.acknowledgements, [16])
    const next = iterator.next()
    engine.write('x'.repeat(12), Array(12).fill(1)).flush()
    await next
    assert.deepEqual(engine.acknowledgements, [16, 16])
    await iterator.return()
  })

  test('acknowledges nothing while nobody reads', async () => {
    const { generation, engine } = begin()
    const iterator = generation[Symbol.asyncIterator]()
    const first = iterator.next()
    for (let i = 0; i < 64; i += 1) engine.write('x')
    engine.flush()
    await first
    await nextTurn()
    assert.equal(engine.hasRoom, false)
    assert.deepEqual(engine.acknowledgements, [])
    await iterator.return()
  })

  test('costs the main thread less than 5 µs a part that comes with others', (t) => {
    // In a process of its own: the test runner's hooks on promises cost more than the parts.
    const script = fileURLToPath(new URL('mock/cost.mjs', import.meta.url))
    const { costs, generatorMicroseconds } = JSON.parse(execFileSync(process.execPath, [script], { encoding: 'utf8' }))
    t.diagnostic(`an AsyncGenerator, 1 part a hop: ${generatorMicroseconds.toFixed(2)} µs a part`)
    for (const { partsPerHop, microseconds } of costs) {
      t.diagnostic(`${partsPerHop} parts a hop: ${microseconds.toFixed(2)} µs a part`)
      // A part by itself pays for the hop, which is the machine's; a hop of a bare generator tells how much.
      const most = partsPerHop === 1 ? Math.max(5, 2.5 * generatorMicroseconds) : 5
      assert.ok(microseconds < most, `${microseconds} µs with ${partsPerHop} parts a hop`)
    }
  })
})

describe('onToken', () => {
  test('hears each token in order, with the text at the last token of its part', async () => {
    const calls = []
    const { generation, engine } = begin({ onToken: (...call) => calls.push(call) })
    assert.equal(engine.flow, 'listening')
    engine.write('ä', [1, 2, 3]).flush()
    engine.write('b', [4]).end()
    assert.equal((await generation).text, 'äb')
    assert.deepEqual(calls, [['', 1], ['', 2], ['ä', 3], ['b', 4]])
  })

  test('hears text that comes after its tokens', async () => {
    const calls = []
    const { generation, engine } = begin({ onToken: (...call) => calls.push(call) })
    engine.write('a', [5]).write('b', []).end()
    await generation
    assert.deepEqual(calls, [['a', 5], ['b', 5]])
  })

  test('hears what the engine wrote before the call returned', async () => {
    const calls = []
    const native = new MockModel()
    native.early = ['early ', [1, 2]]
    const generation = new LlamaModel(native).generate('x', { onToken: (...call) => calls.push(call) })
    native.generations[0].write('late', [3]).end()
    assert.equal((await generation).text, 'early late')
    assert.deepEqual(calls, [['', 1], ['early ', 2], ['late', 3]])
  })

  test('ends the generation with what it throws', async () => {
    const failure = new Error('from the callback')
    const calls = []
    const onToken = (_, token) => {
      calls.push(token)
      if (token === 2) throw failure
    }
    const { generation, engine } = begin({ onToken })
    engine.write('abc', [1, 2, 3]).write('d', [4]).flush()
    await assert.rejects(generation, (error) => error === failure)
    await nextTurn()
    assert.equal(engine.cancels, 1)
    assert.deepEqual(calls, [1, 2])
    assert.equal(generation.partialText, 'abcd')
  })

  test('throws from the loop what it threw', async () => {
    const failure = new Error('from the callback')
    const { generation, engine } = begin({
      onToken: () => {
        throw failure
      },
    })
    const reading = rejectedParts(generation)
    engine.write('a').flush()
    assert.deepEqual(await reading, { texts: [], code: failure })
  })

  test('hears a token before the loop does, and the loop sets the pace', async () => {
    const order = []
    const { generation, engine } = begin({ onToken: (text) => order.push(`token ${text}`) })
    const reading = (async () => {
      for await (const part of generation) order.push(`part ${part.text ?? part.type}`)
    })()
    await nextTurn()
    assert.equal(engine.flow, 'streaming')
    engine.write('a').write('b').flush().end()
    await reading
    assert.deepEqual(order, ['token a', 'token b', 'part a', 'part b', 'part finish'])
    assert.deepEqual(engine.acknowledgements, [])
  })

  test('gives a late reader what was heard before, which the engine does not count', async () => {
    const { generation, engine } = begin({ onToken: () => {} })
    for (let i = 0; i < 30; i += 1) engine.write('x', [i])
    engine.flush()
    const iterator = generation[Symbol.asyncIterator]()
    const first = (await iterator.next()).value
    assert.deepEqual([first.text, first.tokens.length], ['x'.repeat(30), 30])
    const second = iterator.next()
    assert.deepEqual(engine.acknowledgements, [])
    engine.write('y').flush()
    assert.equal((await second).value.text, 'y')
    engine.end()
    await iterator.next()
    assert.equal((await generation).text, `${'x'.repeat(30)}y`)
  })
})

describe('an AbortSignal', () => {
  test('that is aborted already keeps the work from starting', async () => {
    const reason = new Error('changed my mind')
    const { generation, native } = begin({ signal: AbortSignal.abort(reason) })
    await assert.rejects(generation, (error) => error === reason)
    assert.deepEqual(await rejectedParts(generation), { texts: [], code: reason })
    assert.equal(native.requests.length, 0)
    assert.equal(generation.partialText, '')
  })

  test('rejects at once with its reason and leaves the text readable', async () => {
    const controller = new AbortController()
    const { generation, engine } = begin({ signal: controller.signal })
    engine.write('so far')
    controller.abort('enough')
    await assert.rejects(async () => generation, (error) => error === 'enough')
    assert.equal(engine.ended, false)
    assert.equal(generation.partialText, 'so far')
    assert.equal(engine.cancels, 1)
    await nextTurn()
    await nextTurn()
    assert.equal(engine.ended, true)
    assert.equal(generation.partialText, 'so far')
  })

  test('has an AbortError for a reason unless one was given', async () => {
    const controller = new AbortController()
    const { generation } = begin({ signal: controller.signal })
    controller.abort()
    await assert.rejects(async () => generation, { name: 'AbortError' })
  })

  test('ends a loop that waits, and drops parts not read yet', async () => {
    const controller = new AbortController()
    const { generation, engine } = begin({ signal: controller.signal })
    const iterator = generation[Symbol.asyncIterator]()
    const first = iterator.next()
    engine.write('a').write('b').flush()
    await first
    controller.abort('enough')
    await assert.rejects(iterator.next(), (error) => error === 'enough')
    assert.equal((await iterator.next()).done, true)
    assert.deepEqual(await rejectedParts(generation), { texts: ['ab'], code: 'enough' })
  })

  test('that aborts during a pending next rejects it', async () => {
    const controller = new AbortController()
    const { generation } = begin({ signal: controller.signal })
    const pending = generation[Symbol.asyncIterator]().next()
    controller.abort('enough')
    await assert.rejects(pending, (error) => error === 'enough')
  })

  test('can be aborted from onToken', async () => {
    const controller = new AbortController()
    const heard = []
    const onToken = (_, token) => {
      heard.push(token)
      controller.abort('enough')
    }
    const { generation, engine } = begin({ signal: controller.signal, onToken })
    engine.write('a', [1, 2]).flush()
    await assert.rejects(async () => generation, (error) => error === 'enough')
    assert.deepEqual(heard, [1])
  })

  test('is left without listeners, keeps its onabort, and may serve many generations', async () => {
    const controller = new AbortController()
    let heard = 0
    controller.signal.onabort = () => (heard += 1)
    const runs = Array.from({ length: 50 }, () => begin({ signal: controller.signal }))
    for (const { engine } of runs.slice(0, 49)) engine.end()
    await Promise.all(runs.slice(0, 49).map(({ generation }) => generation))
    // One of the last generation's, and the onabort.
    assert.equal(getEventListeners(controller.signal, 'abort').length, 2)
    controller.signal.onabort = () => (heard += 10)
    controller.abort('enough')
    await assert.rejects(async () => runs[49].generation, (error) => error === 'enough')
    assert.equal(heard, 10)
    assert.equal(getEventListeners(controller.signal, 'abort').length, 1)
  })

  test('changes nothing after the end', async () => {
    const controller = new AbortController()
    const { generation, engine } = begin({ signal: controller.signal })
    engine.write('done').end()
    controller.abort('late')
    assert.equal((await generation).text, 'done')
    assert.equal(engine.cancels, 0)
  })
})

describe('cancel', () => {
  test('is no error: the result holds the text so far', async () => {
    const { generation, engine } = begin()
    engine.write('so far')
    generation.cancel()
    const result = await generation
    assert.deepEqual([result.text, result.finishReason], ['so far', 'cancelled'])
    generation.cancel()
    assert.equal(engine.cancels, 1)
  })

  test('lets the loop finish with what is left', async () => {
    const { generation, engine } = begin()
    const parts = collect(generation)
    engine.write('a').flush()
    generation.cancel()
    const read = await parts
    assert.deepEqual(textOf(read), ['a'])
    assert.equal(read.at(-1).finishReason, 'cancelled')
  })
})

describe('a generation that cannot start', () => {
  test('never throws from the call; await and loop both get the error', async () => {
    const native = new MockModel()
    const model = new LlamaModel(native)
    native.refusal = nativeError('overloaded', 'the queue is full', { retryable: true })
    const generation = model.generate('x')
    await assert.rejects(generation, isError('overloaded'))
    await assert.rejects(collect(generation), isError('overloaded'))
    assert.equal((await generation.catch((error) => error)).retryable, true)
  })

  test('says closed once the model is', async () => {
    const { model, generation } = begin()
    await model.close()
    assert.equal((await generation).finishReason, 'cancelled')
    await assert.rejects(model.generate('x'), isError('closed'))
    await assert.rejects(model.chat([{ role: 'user', content: 'x' }]), isError('closed'))
  })
})

test('no generation is ever reported as an unhandled rejection, and no signal as a leak', async () => {
  begin({ temprature: 1 })
  begin({ signal: AbortSignal.abort() })
  begin().engine.end({ error: nativeError('engine-failed') })
  const controller = new AbortController()
  begin({ signal: controller.signal })
  controller.abort()
  const { generation, engine } = begin()
  const reading = rejectedParts(generation)
  engine.end({ error: nativeError('engine-failed') })
  await reading
  for (let i = 0; i < 5; i += 1) await nextTurn()
  assert.deepEqual(strays, [])
})

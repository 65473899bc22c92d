// Whatever stops a generation, the caller hears of it at once and its place is free soon after.
import assert from 'node:assert/strict'
import { getEventListeners } from 'node:events'
import { after, before, describe, test } from 'node:test'
import { setTimeout as delay } from 'node:timers/promises'
import { bundledModelPath, loadModel } from 'rkllmjs'
import { isError, partsOf, textOf, until } from './support/expect.mjs'
import { heldout } from './support/heldout.mjs'
import { openSlow, openTiny, slowModelPath } from './support/models.mjs'

/** Never ends by itself before the context is full. */
const LONG = { temperature: 0, ignoreEos: true }
/** Most of what may be made and not read. */
const UNDELIVERED_PARTS_MAX = 64

const count = heldout.find(({ id }) => id === 'count-2')

const strays = []
process.on('warning', (warning) => strays.push(warning))

const settled = (promise) =>
  promise.then(
    () => 'resolved',
    () => 'rejected',
  )
const isIdle = (model) => model.stats().running === 0 && model.stats().waiting === 0

describe('during the prefill of a long prompt', () => {
  const prompt = new Uint32Array(4000).fill(300)
  let model

  before(async () => {
    model = await openSlow({ maxSequences: 4, kvCells: 16384 })
  })

  after(() => model.close())

  /** Milliseconds from the stop to the rejection and to the free place, of a request caught in its prefill. */
  async function stopInPrefill(begin) {
    await until(() => isIdle(model))
    const before = model.stats().promptTokens
    const { generation, stop, ended: hasEnded = settled(generation) } = begin()
    await until(() => model.stats().running === 1)
    const stopped = performance.now()
    stop()
    await hasEnded
    const ended = performance.now() - stopped
    await until(() => model.stats().running === 0)
    const freed = performance.now() - stopped
    assert.equal(model.stats().kvCellsUsed, 0)
    assert.ok(model.stats().promptTokens - before < prompt.length, 'the prefill had ended already')
    return { generation, ended, freed }
  }

  /** A busy machine can make one attempt late, but not all. */
  async function assertQuick(t, begin) {
    const attempts = []
    for (let attempt = 0; attempt < 3; attempt += 1) {
      attempts.push(await stopInPrefill(begin))
      const { ended, freed } = attempts.at(-1)
      t.diagnostic(`ended after ${ended.toFixed(1)} ms, place free after ${freed.toFixed(1)} ms`)
    }
    assert.ok(Math.min(...attempts.map(({ freed }) => freed)) < 300)
    return attempts[0]
  }

  test('an abort rejects with the reason and frees the sequence within 300 ms', async (t) => {
    const reason = new Error('changed my mind')
    const { generation } = await assertQuick(t, () => {
      const controller = new AbortController()
      return { generation: model.generate(prompt, { ...LONG, signal: controller.signal }), stop: () => controller.abort(reason) }
    })
    await assert.rejects(generation, (error) => error === reason)
  })

  test('cancel() resolves as cancelled, without text, within 300 ms', async (t) => {
    const { generation } = await assertQuick(t, () => {
      const generation = model.generate(prompt, LONG)
      return { generation, stop: () => generation.cancel() }
    })
    const { text, finishReason, usage } = await generation
    assert.deepEqual(
      { text, finishReason, completion: usage.completionTokens },
      { text: '', finishReason: 'cancelled', completion: 0 },
    )
  })

  test('leaving the iterator frees the sequence within 300 ms', async (t) => {
    await assertQuick(t, () => {
      const generation = model.generate(prompt, LONG)
      const reader = generation[Symbol.asyncIterator]()
      return { generation, ended: settled(reader.next()), stop: () => reader.return() }
    })
  })

  test('an abort lets the other streams go on', async () => {
    await until(() => isIdle(model))
    const other = model.generate('weather in the city', { ...LONG, maxTokens: 120 })
    const parts = partsOf(other)
    await until(() => other.partialText !== '')
    const controller = new AbortController()
    const aborted = model.generate(prompt, { signal: controller.signal })
    await until(() => model.stats().running === 2)
    const soFar = other.partialText.length
    controller.abort()
    await assert.rejects(aborted, { name: 'AbortError' })
    const result = await other
    assert.ok(result.text.length > soFar)
    assert.equal(result.tokens.length, 120)
    assert.equal(textOf(await parts), result.text)
  })

  test('a deadline ends it', async () => {
    const generation = model.generate(prompt, { ...LONG, timeoutMs: 30 })
    await assert.rejects(generation, isError('deadline-exceeded'))
    await until(() => isIdle(model))
  })
})

describe('an abort', () => {
  let model

  before(async () => {
    model = await openTiny({ maxSequences: 4 })
  })

  after(async () => {
    await until(() => isIdle(model))
    await model.close()
  })

  test('before the call rejects with the reason and starts nothing', async () => {
    const { requests } = model.stats()
    const reason = { my: 'reason' }
    const generation = model.generate('Once', { signal: AbortSignal.abort(reason) })
    await assert.rejects(generation, (error) => error === reason)
    await assert.rejects(partsOf(generation), (error) => error === reason)
    await assert.rejects(model.generate('Once', { signal: AbortSignal.abort() }), { name: 'AbortError' })
    assert.equal(model.stats().requests, requests)
    assert.equal(generation.partialText, '')
  })

  test('during the decoding rejects with the reason, and the text so far stays', async () => {
    const controller = new AbortController()
    const reason = new Error('enough')
    const generation = model.generate('Once', { ...LONG, signal: controller.signal })
    await until(() => generation.partialText.length > 20)
    const soFar = generation.partialText
    controller.abort(reason)
    await assert.rejects(generation, (error) => error === reason)
    assert.ok(generation.partialText.startsWith(soFar))
    await until(() => isIdle(model))
    const final = generation.partialText
    assert.ok(final.startsWith(soFar))
    assert.equal(getEventListeners(controller.signal, 'abort').length, 0)
  })

  test('reaches a loop as the reason', async () => {
    const controller = new AbortController()
    const reason = new Error('enough')
    let seen = 0
    const loop = async () => {
      for await (const _ of model.generate('Once', { ...LONG, signal: controller.signal })) {
        seen += 1
        if (seen === 5) controller.abort(reason)
      }
    }
    await assert.rejects(loop(), (error) => error === reason)
    assert.equal(seen, 5)
  })

  test('of a signal that many generations share ends them all, with one listener', async () => {
    const controller = new AbortController()
    const { signal } = controller
    const wide = await openTiny({ maxSequences: 4, maxQueue: 64, contextSize: 512 })
    const generations = Array.from({ length: 40 }, () => wide.generate('Once', { ...LONG, signal }))
    assert.equal(getEventListeners(signal, 'abort').length, 1)
    await until(() => wide.stats().running === 4)
    controller.abort('all of you')
    const reasons = await Promise.all(generations.map((generation) => generation.catch((reason) => reason)))
    assert.ok(reasons.every((reason) => reason === 'all of you'))
    await until(() => isIdle(wide))
    assert.equal((await wide.generate(count.prompt, { temperature: 0 })).text, count.expected)
    await wide.close()
  })

  test('leaves no listener behind after a normal end', async () => {
    const { signal } = new AbortController()
    await Promise.all(Array.from({ length: 4 }, () => model.generate('Once', { maxTokens: 2, signal })))
    assert.equal(getEventListeners(signal, 'abort').length, 0)
  })

  test('works where the caller overwrites onabort', async () => {
    const controller = new AbortController()
    const heard = []
    controller.signal.onabort = () => heard.push('first')
    const generation = model.generate('Once', { ...LONG, signal: controller.signal })
    controller.signal.onabort = () => heard.push('second')
    await until(() => generation.partialText !== '')
    controller.abort('stop')
    await assert.rejects(generation, (reason) => reason === 'stop')
    assert.deepEqual(heard, ['second'])
  })

  test('works with AbortSignal.timeout and AbortSignal.any', async () => {
    await assert.rejects(model.generate('Once', { ...LONG, signal: AbortSignal.timeout(20) }), { name: 'TimeoutError' })
    const controller = new AbortController()
    const either = model.generate('Once', { ...LONG, signal: AbortSignal.any([controller.signal, new AbortController().signal]) })
    controller.abort('either')
    await assert.rejects(either, (reason) => reason === 'either')
  })

  test('after the end changes nothing', async () => {
    const controller = new AbortController()
    const generation = model.generate(count.prompt, { temperature: 0, signal: controller.signal })
    await generation
    controller.abort()
    assert.equal((await generation).text, count.expected)
    assert.equal(textOf(await partsOf(generation)), count.expected)
  })
})

describe('break and cancel()', () => {
  let model

  before(async () => {
    model = await openTiny({ maxSequences: 4 })
  })

  after(() => model.close())

  test('end the generation as cancelled with the text so far, and free its place', async () => {
    const generation = model.generate('Once', LONG)
    let text = ''
    for await (const part of generation) {
      text += part.text
      if (text.length > 30) break
    }
    const result = await generation
    assert.equal(result.finishReason, 'cancelled')
    assert.ok(result.text.startsWith(text))
    assert.ok(result.tokens.length < model.info.contextSize - 10)
    await until(() => isIdle(model))
  })

  test('may come from anywhere and more than once', async () => {
    const generation = model.generate('Once', LONG)
    await until(() => generation.partialText !== '')
    generation.cancel()
    generation.cancel()
    const { finishReason, usage, tokens } = await generation
    assert.equal(finishReason, 'cancelled')
    assert.equal(usage.completionTokens, tokens.length)
    generation.cancel()
    assert.equal((await generation).finishReason, 'cancelled')
  })

  test('at once, before anything was made, resolve as cancelled', async () => {
    const generation = model.generate('Once', LONG)
    generation.cancel()
    assert.equal((await generation).finishReason, 'cancelled')
    await until(() => isIdle(model))
  })

  test('end every one of n answers', async () => {
    const generation = model.generate('Once', { ...LONG, n: 4 })
    await until(() => model.stats().running === 4)
    generation.cancel()
    const { choices } = await generation
    assert.deepEqual(
      choices.map(({ finishReason }) => finishReason),
      Array(4).fill('cancelled'),
    )
    await until(() => isIdle(model))
  })

  test('give a loop its finish part', async () => {
    const generation = model.generate('Once', LONG)
    const parts = []
    for await (const part of generation) {
      parts.push(part)
      if (parts.length === 3) generation.cancel()
    }
    assert.equal(parts.at(-1).type, 'finish')
    assert.equal(parts.at(-1).finishReason, 'cancelled')
    assert.equal(textOf(parts), (await generation).text)
  })

  test('by an error thrown in the loop leave the error to the caller', async () => {
    const failure = new Error('from the loop')
    const generation = model.generate('Once', LONG)
    const loop = async () => {
      for await (const _ of generation) throw failure
    }
    await assert.rejects(loop(), (error) => error === failure)
    assert.equal((await generation).finishReason, 'cancelled')
  })

  test('by an error thrown in onToken reject with it', async () => {
    const failure = new Error('from the callback')
    let calls = 0
    const onToken = () => {
      calls += 1
      if (calls === 3) throw failure
    }
    await assert.rejects(model.generate('Once', { ...LONG, onToken }), (error) => error === failure)
    await until(() => isIdle(model))
    assert.equal(calls, 3)
  })
})

describe('a reader that stops reading', () => {
  test('leaves at most 64 parts undelivered while others progress, and can read on', async () => {
    const model = await openTiny({ maxSequences: 4 })
    const generation = model.generate('Once', { ...LONG, maxTokens: 300 })
    const reader = generation[Symbol.asyncIterator]()
    const first = (await reader.next()).value
    await until(() => model.stats().paused === 1)
    const made = model.stats().completionTokens
    assert.ok(made - first.tokens.length <= UNDELIVERED_PARTS_MAX, `${made} tokens made, ${first.tokens.length} read`)
    const soFar = generation.partialText

    const others = await Promise.all(Array.from({ length: 6 }, () => model.generate('Once', { ...LONG, maxTokens: 200 })))
    assert.ok(others.every(({ tokens }) => tokens.length === 200))
    assert.equal(generation.partialText, soFar)

    const parts = [first]
    for await (const part of reader) parts.push(part)
    const result = await generation
    assert.equal(result.tokens.length, 300)
    assert.equal(textOf(parts), result.text)
    assert.deepEqual(
      parts.flatMap(({ tokens = [] }) => tokens),
      [...result.tokens],
    )
    await model.close()
  })

  test('gives up its place to those who wait, and takes up its text where it was', async () => {
    const model = await openTiny({ maxSequences: 1, contextSize: 512 })
    const options = { ...LONG, maxTokens: 200 }
    const alone = await model.generate(count.prompt, options)
    const reader = model.generate(count.prompt, options)[Symbol.asyncIterator]()
    const parts = [(await reader.next()).value]
    await until(() => model.stats().paused === 1)
    assert.equal((await model.generate('Once', { ...LONG, maxTokens: 50 })).tokens.length, 50)
    for await (const part of reader) parts.push(part)
    assert.ok(textOf(parts).startsWith(count.expected))
    assert.equal(parts.flatMap(({ tokens = [] }) => tokens).length, alone.tokens.length)
    await model.close()
  })

  test('fails with deadline-exceeded after readerTimeoutMs while others wait', async () => {
    const model = await openTiny({ maxSequences: 1 })
    const generation = model.generate('Once', { ...LONG, readerTimeoutMs: 40 })
    const reader = generation[Symbol.asyncIterator]()
    const parts = [(await reader.next()).value]
    await until(() => model.stats().paused === 1)
    const other = model.generate('Once', LONG)
    await assert.rejects(generation, isError('deadline-exceeded', /readerTimeoutMs/))
    const readOn = async () => {
      for await (const part of reader) parts.push(part)
    }
    await assert.rejects(readOn(), isError('deadline-exceeded'))
    assert.equal(textOf(parts), generation.partialText)
    other.cancel()
    await other
    await model.close()
  })

  test('may take longer than readerTimeoutMs while nobody waits', async () => {
    const model = await openTiny({ maxSequences: 1 })
    const generation = model.generate('Once', { ...LONG, maxTokens: 150, readerTimeoutMs: 10 })
    const reader = generation[Symbol.asyncIterator]()
    await reader.next()
    await until(() => model.stats().paused === 1)
    await delay(60) // The time that is allowed to pass, six times over.
    let last
    for await (const part of reader) last = part
    assert.equal(last.finishReason, 'length')
    assert.equal((await generation).tokens.length, 150)
    await model.close()
  })
})

describe('close()', () => {
  test('ends what runs and what waits as cancelled, with the text so far', async () => {
    const model = await openTiny({ maxSequences: 2, contextSize: 512 })
    const generations = Array.from({ length: 6 }, () => model.generate('Once', LONG))
    const reading = partsOf(generations[0])
    await until(() => generations.some(({ partialText }) => partialText !== ''))
    const closing = model.close()
    const results = await Promise.all(generations)
    assert.ok(results.every(({ finishReason }) => finishReason === 'cancelled'))
    assert.ok(results.some(({ text }) => text !== ''))
    const parts = await reading
    assert.equal(parts.at(-1).finishReason, 'cancelled')
    assert.equal(textOf(parts), results[0].text)
    await closing
  })

  test('may be called again, and during the first call', async () => {
    const model = await openTiny()
    const running = model.generate('Once', LONG)
    await Promise.all([model.close(), model.close(), model[Symbol.asyncDispose]()])
    await model.close()
    assert.equal((await running).finishReason, 'cancelled')
  })

  test('during a long prefill waits for no more than a moment', async () => {
    const model = await openSlow({ maxSequences: 1 })
    const running = model.generate(new Uint32Array(4000).fill(300), LONG)
    await until(() => model.stats().running === 1)
    const began = performance.now()
    await model.close()
    assert.ok(performance.now() - began < 2000)
    assert.equal((await running).finishReason, 'cancelled')
  })

  test('ends embeddings and adapters under way, which then say that the model is closed', async () => {
    // Each round closes a little later, so that some of them meet the embedding at work.
    for (let round = 0; round < 10; round += 1) {
      const model = await openTiny()
      const outcomes = Promise.allSettled([
        model.embed(Array(200).fill('a few words')),
        model.embed('one'),
        model.unloadLora('none'),
      ])
      await delay(3 * round)
      await model.close()
      for (const { status, reason } of await outcomes) if (status === 'rejected') isError('closed')(reason)
    }
  })
})

describe('the signal of a load', () => {
  test('that is aborted already rejects with its reason', async () => {
    const reason = new Error('no')
    await assert.rejects(loadModel(bundledModelPath(), { signal: AbortSignal.abort(reason) }), (error) => error === reason)
  })

  test('stops a load under way, and the next load works', async () => {
    const controller = new AbortController()
    const loading = loadModel(slowModelPath(), { signal: controller.signal, threads: 1 })
    controller.abort('no')
    await assert.rejects(loading, (reason) => reason === 'no')
    assert.equal(getEventListeners(controller.signal, 'abort').length, 0)
    const model = await openTiny()
    assert.equal((await model.generate(count.prompt, { temperature: 0 })).text, count.expected)
    await model.close()
  })

  test('stops a load from its own progress', async () => {
    const controller = new AbortController()
    const heard = []
    const onProgress = (fraction) => {
      heard.push(fraction)
      controller.abort('far enough')
    }
    await assert.rejects(
      loadModel(slowModelPath(), { signal: controller.signal, threads: 1, onProgress }),
      (reason) => reason === 'far enough',
    )
    assert.equal(heard.length, 1)
  })

  test('has no say once the model is loaded', async () => {
    const controller = new AbortController()
    const model = await openTiny({ signal: controller.signal })
    controller.abort()
    assert.equal((await model.generate(count.prompt, { temperature: 0 })).text, count.expected)
    await model.close()
  })

  test('is not needed where onProgress throws', async () => {
    const failure = new Error('from onProgress')
    const onProgress = () => {
      throw failure
    }
    await assert.rejects(loadModel(slowModelPath(), { threads: 1, onProgress }), (error) => error === failure)
  })
})

test('none of all this gave a warning', () => {
  assert.deepEqual(strays, [])
})

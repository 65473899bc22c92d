// Many requests at once: none stalls, none changes another, and what does not fit is refused with a reason.
import assert from 'node:assert/strict'
import { setTimeout as sleep } from 'node:timers/promises'
import { after, before, describe, test } from 'node:test'
import { isError, partsOf, textOf, until, user } from './support/expect.mjs'
import { heldout } from './support/heldout.mjs'
import { openTiny, pirateLoraPath } from './support/models.mjs'

const GREEDY = { temperature: 0 }
/** Never ends by itself before the context is full. */
const LONG = { temperature: 0, ignoreEos: true }
/** Two tokens whose logits are closer than this may swap when other requests share the step. */
const NEAR_TIE = 0.05

const item = (id) => heldout.find((candidate) => candidate.id === id)

/** Asserts that `answer` is `single`, or leaves it at a token where the two best of `single` nearly tie. */
function assertSame(answer, single, name) {
  const length = Math.max(single.tokens.length, answer.tokens.length)
  const place = Array.from({ length }).findIndex((_, index) => single.tokens[index] !== answer.tokens[index])
  if (place === -1) {
    assert.equal(answer.text, single.text, name)
    return true
  }
  // An answer that ended where the other one goes on: how near the end was is not reported.
  const [best, second] = single.logprobs[place]?.top ?? []
  const gap = best === undefined ? Infinity : best.logprob - second.logprob
  assert.ok(
    gap < NEAR_TIE,
    `${name} differs at token ${place}, where the gap is ${gap}: ${JSON.stringify(answer.text)}, alone ${JSON.stringify(single.text)}`,
  )
  return false
}

describe('16 requests at once on 4 sequences', () => {
  const ids = [
    'demo-5',
    'copy-2',
    'add-7',
    'recall-0',
    'rag-1',
    'json-0',
    'count-2',
    'capital-1',
    'fact-2',
    'greet-3',
    'persona-1',
    'story-1',
    'story-3',
    'tool_call-1',
    'tool_answer-3',
    'count-5',
  ]
  let model
  const singles = []

  before(async () => {
    model = await openTiny({ maxSequences: 4, maxQueue: 64 })
    for (const id of ids) singles.push(await model.generate(item(id).prompt, { ...GREEDY, logprobs: true, topLogprobs: 2 }))
  })

  after(() => model.close())

  for (const [name, options] of [
    ['awaited', {}],
    ['awaited with logprobs', { logprobs: true, topLogprobs: 2 }],
  ]) {
    test(`are each answered as they are alone: ${name}`, async (t) => {
      const answers = await Promise.all(ids.map((id) => model.generate(item(id).prompt, { ...GREEDY, ...options })))
      const same = answers.filter((answer, index) => assertSame(answer, singles[index], ids[index])).length
      t.diagnostic(`${same} of ${ids.length} are the same to the last token`)
      assert.ok(same >= ids.length - 4)
    })
  }

  test('are each answered as they are alone: iterated, some of them slowly', async () => {
    const read = async (id, index) => {
      const generation = model.generate(item(id).prompt, GREEDY)
      let text = ''
      for await (const part of generation) {
        text += part.text ?? ''
        if (index % 2 === 0) await new Promise(setImmediate)
      }
      const result = await generation
      assert.equal(text, result.text)
      return result
    }
    const answers = await Promise.all(ids.map(read))
    for (const [index, answer] of answers.entries()) assertSame(answer, singles[index], ids[index])
  })

  test('leave nothing behind', async () => {
    await until(() => model.stats().running === 0)
    const { waiting, paused, kvCellsUsed } = model.stats()
    assert.deepEqual({ waiting, paused, kvCellsUsed }, { waiting: 0, paused: 0, kvCellsUsed: 0 })
  })
})

describe('a full queue', () => {
  const OPTIONS = { maxSequences: 4, maxQueue: 16, contextSize: 512 }
  const PLACES = 20
  let model

  before(async () => {
    model = await openTiny(OPTIONS)
  })

  after(() => model.close())

  test('refuses one more as overloaded and worth retrying, and gives its places back', async () => {
    const held = Array.from({ length: PLACES }, () => model.generate('Once', LONG))
    const refused = model.generate('one more', LONG)
    await assert.rejects(refused, (error) => {
      assert.equal(error.retryable, true)
      return isError('overloaded')(error)
    })
    await assert.rejects(partsOf(model.chat([user('Hello!')])), isError('overloaded'))
    for (const generation of held) generation.cancel()
    const results = await Promise.all(held)
    assert.ok(results.every(({ finishReason }) => finishReason === 'cancelled'))
    assert.equal((await model.generate(item('capital-1').prompt, GREEDY)).text, item('capital-1').expected)
  })

  test('counts every one of n answers', async () => {
    const held = model.generate('Once', { ...LONG, n: PLACES })
    await assert.rejects(model.generate('one more'), isError('overloaded'))
    held.cancel()
    await held
    await assert.rejects(model.generate('Once', { n: PLACES + 1 }), isError('invalid-request', /n must be at most/))
    await model.generate('Once', { maxTokens: 1 })
  })

  test('of readers that never read on refuses one more, and a place that is left is taken', async () => {
    const readers = Array.from({ length: PLACES }, () => model.generate('Once', LONG)[Symbol.asyncIterator]())
    await Promise.all(readers.map((reader) => reader.next()))
    await assert.rejects(model.generate('one more'), isError('overloaded'))
    await readers.pop().return()
    await until(() => model.stats().running + model.stats().waiting < PLACES)
    const { text } = await model.generate(item('capital-1').prompt, GREEDY)
    assert.equal(text, item('capital-1').expected)
    await Promise.all(readers.map((reader) => reader.return()))
    await until(() => model.stats().running + model.stats().waiting === 0)
  })

  test('lets readers that stopped read on to the end', async () => {
    const generations = Array.from({ length: PLACES }, () => model.generate('Once', { ...LONG, maxTokens: 100 }))
    const readers = generations.map((generation) => generation[Symbol.asyncIterator]())
    const firsts = await Promise.all(readers.map((reader) => reader.next()))
    const texts = await Promise.all(
      readers.map(async (reader, index) => {
        let text = firsts[index].value.text
        for await (const part of reader) text += part.text ?? ''
        return text
      }),
    )
    const results = await Promise.all(generations)
    assert.deepEqual(
      texts,
      results.map(({ text }) => text),
    )
    assert.ok(results.every(({ tokens }) => tokens.length === 100))
  })

  test('of length 0 still serves as many as there are sequences', async () => {
    const narrow = await openTiny({ maxSequences: 2, maxQueue: 0, contextSize: 256 })
    const held = [narrow.generate('Once', LONG), narrow.generate('Once', LONG)]
    await assert.rejects(narrow.generate('one more'), isError('overloaded'))
    for (const generation of held) generation.cancel()
    await Promise.all(held)
    assert.equal((await narrow.generate('Once', { maxTokens: 2 })).tokens.length, 2)
    await narrow.close()
  })
})

describe('32 generations', () => {
  test('awaited at once never stall, whatever they are read with', async () => {
    const model = await openTiny({ maxSequences: 4, maxQueue: 64, contextSize: 512 })
    const results = await Promise.all(
      Array.from({ length: 32 }, async (_, index) => {
        const onToken = index % 3 === 0 ? () => {} : undefined
        const generation = model.generate('Once upon a time', { ...LONG, maxTokens: 150, onToken })
        // A third is iterated as well, by readers that leave the first part lying for a while.
        if (index % 3 === 1) {
          const reader = generation[Symbol.asyncIterator]()
          await reader.next()
          await model.generate('x', { maxTokens: 1 })
          const rest = []
          for await (const part of reader) rest.push(part)
        }
        return generation
      }),
    )
    assert.ok(results.every(({ tokens, finishReason }) => tokens.length === 150 && finishReason === 'length'))
    await model.close()
  })

  test('share a cache that holds only one of them whole', async () => {
    const model = await openTiny({ maxSequences: 8, maxQueue: 64, contextSize: 256, kvCells: 256 })
    const prompt = item('capital-1').prompt
    const results = await Promise.all(Array.from({ length: 32 }, () => model.generate(prompt, { ...GREEDY, maxTokens: 40 })))
    assert.ok(results.every(({ text }) => text === item('capital-1').expected))
    await model.close()
  })
})

describe('tenants', () => {
  test('take turns, however much one of them asks', async () => {
    const model = await openTiny({ maxSequences: 1, maxQueue: 16, contextSize: 512 })
    const first = model.generate('Once', LONG)
    await until(() => model.stats().running === 1)
    const order = []
    const tenants = ['much', 'much', 'much', 'much', 'little', 'little']
    const waiting = tenants.map((tenant, index) =>
      model.generate('Hello', { maxTokens: 1, tenant, cachePrompt: false }).then(() => order.push(index)),
    )
    await until(() => model.stats().waiting === tenants.length)
    // Those whose prompt is still being read count as waiting too, and are not in the line yet.
    await sleep(50)
    first.cancel()
    await Promise.all(waiting)
    assert.deepEqual(order, [0, 4, 1, 5, 2, 3])
    await model.close()
  })
})

describe('priority', () => {
  test('decides who leaves the queue first, and age decides among equals', async () => {
    const model = await openTiny({ maxSequences: 1, maxQueue: 16, contextSize: 512 })
    const first = model.generate('Once', LONG)
    await until(() => model.stats().running === 1)
    const order = []
    const priorities = [0, 5, -3, 5, 100, 0]
    const waiting = priorities.map((priority, index) =>
      model.generate('Hello', { maxTokens: 1, priority }).then(() => order.push(index)),
    )
    await until(() => model.stats().waiting === priorities.length)
    // Those whose prompt is still being read count as waiting too, and are not in the line yet.
    await sleep(50)
    first.cancel()
    await Promise.all(waiting)
    assert.deepEqual(order, [4, 1, 3, 0, 5, 2])
    await model.close()
  })
})

describe('timeoutMs', () => {
  let model

  before(async () => {
    model = await openTiny({ maxSequences: 1, contextSize: 1024 })
  })

  after(() => model.close())

  test('ends an answer under way with deadline-exceeded and leaves its text', async () => {
    const generation = model.generate('Once', { ...LONG, timeoutMs: 20 })
    await assert.rejects(generation, (error) => {
      assert.equal(error.retryable, true)
      return isError('deadline-exceeded')(error)
    })
    assert.equal(typeof generation.partialText, 'string')
    await until(() => model.stats().running === 0)
  })

  test('ends a request that still waits in the queue', async () => {
    const held = model.generate('Once', LONG)[Symbol.asyncIterator]()
    await held.next()
    await assert.rejects(model.generate('Once', { priority: -1, timeoutMs: 1 }), isError('deadline-exceeded'))
    await held.return()
  })

  test('that is long enough changes nothing', async () => {
    const { text } = await model.generate(item('capital-1').prompt, { ...GREEDY, timeoutMs: 600_000 })
    assert.equal(text, item('capital-1').expected)
  })
})

describe('different adapters at once', () => {
  test('each change only the requests that name them', async () => {
    const model = await openTiny({ maxSequences: 8 })
    await Promise.all([
      model.loadLora(pirateLoraPath(), { name: 'pirate' }),
      model.loadLora(pirateLoraPath(), { name: 'faint', scale: 0.01 }),
    ])
    assert.deepEqual(model.loras.map(({ name }) => name).sort(), ['faint', 'pirate'])
    const prompt = item('capital-1').prompt
    const selections = [undefined, 'pirate', 'faint', { pirate: 1 }, { pirate: 0.5, faint: 1 }, { pirate: 0 }]
    const ask = (lora) => model.generate(prompt, { ...GREEDY, lora, logprobs: true, topLogprobs: 2 })
    const singles = []
    for (const lora of selections) singles.push(await ask(lora))
    const twice = [...selections, ...selections]
    const answers = await Promise.all(twice.map(ask))
    for (const [index, answer] of answers.entries()) {
      assertSame(answer, singles[index % selections.length], `lora ${JSON.stringify(twice[index])}`)
    }
    assert.equal(singles[0].text, item('capital-1').expected)
    assert.match(singles[1].text, /^Arr,/)
    assert.equal(singles[5].text, singles[0].text)
    await model.close()
  })

  test('that are unloaded end the requests that run under them, and no others', async () => {
    const model = await openTiny({ maxSequences: 4 })
    await model.loadLora(pirateLoraPath(), { name: 'pirate' })
    const under = model.generate('Once', { ...LONG, lora: 'pirate' })
    const beside = model.generate('Once', { ...LONG, maxTokens: 400 })
    await until(() => under.partialText !== '')
    assert.equal(await model.unloadLora('pirate'), true)
    await assert.rejects(under, isError('invalid-request', /pirate|adapter/))
    assert.equal((await beside).tokens.length, 400)
    await model.close()
  })
})

describe('text that is read while it is made', () => {
  test('is the same for the reader, the promise and onToken', async () => {
    const model = await openTiny({ maxSequences: 4 })
    const heard = []
    const generation = model.chat(item('count-2').conversation, { ...GREEDY, onToken: (text) => heard.push(text) })
    const parts = await partsOf(generation)
    assert.equal(textOf(parts), item('count-2').expected)
    assert.equal(heard.join(''), item('count-2').expected)
    assert.equal((await generation).text, item('count-2').expected)
    await model.close()
  })
})

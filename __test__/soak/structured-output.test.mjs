// Answers to random schemas, checked by somebody else's validator: 500 at full length.
import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'

import { isFull } from '../processes/run.mjs'
import { wrongWith } from '../support/ajv.mjs'
import { user } from '../support/expect.mjs'
import { openTiny } from '../support/models.mjs'
import { chances, randomSchema } from '../support/random-schemas.mjs'

const COUNT = isFull ? 500 : 40
const AT_ONCE = 8
const PROMPTS = ['What is the capital of France?', 'Tell me a story about a lion', 'Hello!', 'Count from 1 to 20.', 'My name is Alice.']
const TEMPERATURES = [0, 0.7, 1, 1.5, 2]

describe('every answer that ends by itself fits its schema', () => {
  let model
  before(async () => (model = await openTiny({ maxSequences: AT_ONCE, contextSize: 1024 })))
  after(() => model.close())

  async function answer(seed) {
    const by = chances(seed * 7919 + 1)
    const schema = randomSchema(seed)
    // Without these two everything that is allowed may come, however unlikely.
    const wild = by.is(0.5) ? { topK: 0, minP: 0, topP: 1 } : {}
    const options = { temperature: by.one(TEMPERATURES), seed, maxTokens: 900, ...wild }
    const asked = by.is(0.5) ? { jsonSchema: schema } : { responseFormat: { type: 'json_schema', jsonSchema: { name: 'x', schema } } }
    const { text, finishReason } = await model.chat([user(by.one(PROMPTS))], { ...options, ...asked })
    return { schema, text, finishReason, seed }
  }

  test(`of ${COUNT} schemas`, { timeout: isFull ? 30 * 60_000 : 120_000 }, async (t) => {
    const results = []
    let next = 0
    const work = async () => {
      while (next < COUNT) results.push(await answer((next += 1)))
    }
    await Promise.all(Array.from({ length: AT_ONCE }, work))
    let stopped = 0
    for (const { schema, text, finishReason, seed } of results) {
      if (finishReason !== 'stop') continue
      stopped += 1
      const wrong = wrongWith(schema, JSON.parse(text))
      assert.equal(wrong, undefined, `schema ${seed}: ${JSON.stringify(schema)}: ${text}: ${wrong}`)
    }
    t.diagnostic(`${stopped} of ${COUNT} ended by themselves`)
    const others = results.filter(({ finishReason }) => finishReason !== 'stop')
    assert.ok(stopped >= COUNT * 0.99 - 0.5, others.map(({ seed, text }) => `${seed}: ${text.slice(-200)}`).join('\n'))
  })
})

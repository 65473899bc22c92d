// Questions 4 and 5, as far as they show through the API: how soon an answer ends, and whether the next one is
// right. What the library itself returns is asked by raw.test.mjs.
import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'

import { loadModel } from '../../dist/index.mjs'
import { LOAD, finding, modelPath, noBoard } from './board.mjs'

const PROMPT = 'Once upon a time'
let model
let expected

before(async () => {
  if (noBoard) return
  model = await loadModel(modelPath, LOAD)
  expected = (await model.generate(PROMPT, { maxTokens: 12 })).text
})

after(() => model?.close())

async function isUnharmed() {
  return (await model.generate(PROMPT, { maxTokens: 12 })).text === expected
}

test('an answer ends soon after it is cancelled, and the next one is right', { skip: noBoard }, async () => {
  const generation = model.generate(PROMPT, { maxTokens: 400 })
  for await (const part of generation) if (part.type === 'text-delta') break
  const cancelledAt = performance.now()
  const { finishReason } = await generation
  const next = await isUnharmed()
  finding(4, `cancelled between tokens: ${finishReason}, next answer done after ${ms(cancelledAt)}, ${next ? 'right' : 'WRONG'}`)
  assert.ok(next)
})

test('a long prompt can be cancelled', { skip: noBoard }, async () => {
  const generation = model.generate('The sea is wide. '.repeat(100), { maxTokens: 4 })
  await new Promise((resolve) => setTimeout(resolve, 30))
  const cancelledAt = performance.now()
  generation.cancel()
  const { finishReason } = await generation
  const ended = ms(cancelledAt)
  const next = await isUnharmed()
  finding(4, `cancelled in a long prompt: ${finishReason} after ${ended}, next answer done after ${ms(cancelledAt)}, ${next ? 'right' : 'WRONG'}`)
  assert.ok(next)
})

test('an abort without an answer under way harms nothing', { skip: noBoard }, async () => {
  model.abort()
  finding(5, `abort() without an answer under way, which does not reach the library: next answer ${(await isUnharmed()) ? 'right' : 'WRONG'}`)
})

const ms = (start) => `${Math.round(performance.now() - start)} ms`

// Question 12: whether the start that two prompts share is computed once, without a history.
import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'

import { loadModel } from '../../dist/index.mjs'
import { LOAD, finding, modelPath, noBoard } from './board.mjs'

const SHARED = 'The sea is wide and the sky is high. '.repeat(20)
const FRANCE = 'What is the capital of France?'
const ITALY = 'What is the capital of Italy?'

let model

before(async () => {
  if (!noBoard) model = await loadModel(modelPath, LOAD)
})

after(() => model?.close())

/** Asks for an answer that ends by itself: what one that is cut short leaves in the cache of a 1.2 is not known. */
async function prefill(question) {
  const content = `${SHARED}${question} Answer in one sentence.`
  const { timings, usage, text, finishReason } = await model.chat([{ role: 'user', content }], { maxTokens: 200 })
  return { ms: Math.round(timings.prefillMs), prompt: usage.promptTokens, cached: usage.cachedTokens, text, finishReason }
}

test('a shared start makes the second prompt faster', { skip: noBoard }, async () => {
  const cold = await prefill(FRANCE)
  const same = await prefill(FRANCE)
  const other = await prefill(ITALY)
  await model.clearCache()
  const cleared = await prefill(FRANCE)
  for (const [what, { ms, prompt, cached, finishReason }] of Object.entries({ cold, same, other, cleared })) {
    finding(12, `${what}: ${ms} ms for ${prompt} tokens, ${cached} said to be cached; ended by ${finishReason}`)
  }
  const pays = other.ms < cold.ms / 2
  finding(12, `the start is ${pays ? 'computed once' : 'NOT clearly reused'}; the same answer after clearing: ${cleared.text === cold.text}`)
  assert.equal(same.text, cold.text)
})

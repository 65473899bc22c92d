// `contextOverflow`: an answer that fills the context ends there, or goes on without its oldest tokens.
import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { isError, partsOf, textOf, user } from './support/expect.mjs'
import { openTiny } from './support/models.mjs'
import { standinLibrary, standinModelPath } from 'rkllmjs/standin'
import { loadModel } from 'rkllmjs'

const CONTEXT = 64
const open = (options) => openTiny({ contextSize: CONTEXT, maxSequences: 4, contextOverflow: 'shift', ...options })
const endless = (maxTokens) => ({ maxTokens, temperature: 0, ignoreEos: true })

/** What is dropped until `made` tokens follow a prompt of `prompt`, when `keep` stay. */
function dropped(prompt, made, keep) {
  const each = Math.floor((CONTEXT - keep) / 2)
  let held = prompt
  let all = 0
  // The last token ends the answer and needs no room.
  for (let token = 1; token < made; token += 1) {
    held += 1
    if (held < CONTEXT) continue
    held -= each
    all += each
  }
  return all
}

describe("contextOverflow: 'shift'", () => {
  test('goes on past the context and says how much was dropped', async () => {
    const model = await open()
    const start = model.tokenize('', { addSpecial: true }).length
    for (const made of [10, 100, 300]) {
      const { tokens, finishReason, usage } = await model.generate('Once upon a time', endless(made))
      assert.equal(tokens.length, made)
      assert.equal(usage.completionTokens, made)
      assert.equal(finishReason, 'length')
      const expected = dropped(usage.promptTokens, made, start)
      assert.equal(usage.droppedTokens, expected === 0 ? undefined : expected)
      assert.ok(made < CONTEXT || expected > 0)
    }
    assert.equal(model.stats().kvCellsUsed, 0)
    await model.close()
  })

  test('begins as it would without, and streams what it makes', async () => {
    const [shifting, ending] = [await open(), await open({ contextOverflow: 'error' })]
    const short = await ending.generate('Once upon a time', endless(1000))
    assert.equal(short.finishReason, 'length')
    assert.equal(short.usage.promptTokens + short.tokens.length, CONTEXT)
    assert.equal(short.usage.droppedTokens, undefined)
    const generation = shifting.generate('Once upon a time', endless(150))
    const parts = await partsOf(generation)
    const { tokens, text } = await generation
    assert.equal(textOf(parts), text)
    assert.deepEqual(tokens.slice(0, short.tokens.length), short.tokens)
    await shifting.close()
    await ending.close()
  })

  test('keeps the messages of the system', async () => {
    const model = await open()
    const system = { role: 'system', content: 'You are a cat.' }
    const kept = model.tokenize(model.applyChatTemplate([system], { addGenerationPrompt: false }), { parseSpecial: true }).length
    const { usage, tokens } = await model.chat([system, user('Hi')], endless(200))
    assert.equal(tokens.length, 200)
    assert.ok(kept > 2 && kept < CONTEXT / 2, String(kept))
    assert.equal(usage.droppedTokens, dropped(usage.promptTokens, 200, kept))
    await model.close()
  })

  test('of several answers at once each drops its own', async () => {
    const model = await open()
    const { choices, usage } = await model.generate('Once upon a time', { ...endless(120), n: 3 })
    const alone = await model.generate('Once upon a time', endless(120))
    assert.deepEqual(choices.map(({ text }) => text.length > 0), [true, true, true])
    assert.equal(usage.completionTokens, 360)
    assert.equal(usage.droppedTokens, 3 * alone.usage.droppedTokens)
    await model.close()
  })

  test('works with every type of cache', async () => {
    for (const kvCacheType of ['f16', 'q8_0', 'q4_0']) {
      const model = await open({ kvCacheType })
      assert.equal((await model.generate('Once upon a time', endless(150))).tokens.length, 150, kvCacheType)
      await model.close()
    }
  })

  test('an answer without maxTokens ends with the context, and a prompt must fit it', async () => {
    const model = await open()
    const { usage, tokens, finishReason } = await model.generate('Once upon a time', { temperature: 0, ignoreEos: true })
    assert.deepEqual([usage.promptTokens + tokens.length, finishReason, usage.droppedTokens], [CONTEXT, 'length', undefined])
    await assert.rejects(model.generate('a '.repeat(200), { maxTokens: 4 }), isError('context-exceeded'))
    await model.close()
  })

  test('is refused where memory cannot be cut: in a process of its own, and by the NPU', async () => {
    await assert.rejects(open({ isolate: true }), isError('unsupported', /contextOverflow cannot be 'shift' in a process of its own/))
    const npu = loadModel(standinModelPath(), { libraryPath: standinLibrary('1.3'), contextOverflow: 'shift' })
    await assert.rejects(npu, isError('unsupported', /contextOverflow/))
  })
})

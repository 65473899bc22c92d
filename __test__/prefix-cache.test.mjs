// What prompts begin with alike is computed once, between turns and between requests that run at once.
import assert from 'node:assert/strict'
import path from 'node:path'
import { after, before, describe, test } from 'node:test'

import { bundledModelPath, loadModel } from '../dist/index.mjs'
import { engineProcesses } from './support/engine-processes.mjs'
import { until, user } from './support/expect.mjs'

const GREEDY = { temperature: 0 }
const QUESTION = [user('What is the capital of France?')]
const PIRATE = path.join(path.dirname(bundledModelPath()), 'rkllmjs-tiny-lora-pirate-f16.gguf')

const cachedTokens = ({ usage }) => usage.cachedTokens

/** The same talk with the answer and another question. */
const nextTurn = (talk, { text }, question) => [...talk, { role: 'assistant', content: text }, user(question)]

for (const isolate of [false, true]) {
  describe(`prompts of a model ${isolate ? 'in a process of its own' : 'in this process'}`, () => {
    let model

    before(async () => {
      model = await loadModel(bundledModelPath(), { maxSequences: 4, isolate })
    })

    after(() => model.close())

    test('find the turns before them in the cache', async () => {
      const tenant = 'turns'
      const first = await model.chat(QUESTION, { ...GREEDY, tenant })
      assert.equal(cachedTokens(first), 0)
      const talk = nextTurn(QUESTION, first, 'What is the capital of Japan?')
      const second = await model.chat(talk, { ...GREEDY, tenant })
      assert.equal(second.text, 'The capital of Japan is Tokyo.')
      assert.ok(cachedTokens(second) >= first.usage.promptTokens, `${cachedTokens(second)} tokens`)
      const third = await model.chat(nextTurn(talk, second, 'What is the capital of Italy?'), { ...GREEDY, tenant })
      assert.ok(cachedTokens(third) >= second.usage.promptTokens, `${cachedTokens(third)} tokens`)
    })

    test('are computed once when sixteen come at once', async () => {
      const countries = ['France', 'Japan', 'Italy', 'Spain', 'Egypt', 'Peru', 'Norway', 'Kenya']
      const talk = [user('What is the capital of Chile?'), { role: 'assistant', content: 'The capital of Chile is Santiago.' }]
      const ask = (country) => model.chat([...talk, user(`What is the capital of ${country}?`)], { ...GREEDY, tenant: 'many' })
      const computed = model.stats().promptTokens
      const answers = await Promise.all([...countries, ...countries].map(ask))
      const prompts = answers.reduce((sum, { usage }) => sum + usage.promptTokens, 0)
      const spared = answers.reduce((sum, answer) => sum + cachedTokens(answer), 0)
      assert.equal(model.stats().promptTokens - computed, prompts - spared)
      assert.equal(answers.filter((answer) => cachedTokens(answer) === 0).length, 1, 'one of them led')
      for (const [i, { text }] of answers.entries()) assert.ok(text.includes(countries[i % 8]), text)
      assert.deepEqual(answers.slice(0, 8).map(({ text }) => text), answers.slice(8).map(({ text }) => text))
    })

    test('are not shared between tenants', async () => {
      const ask = async (tenant) => cachedTokens(await model.chat(QUESTION, { ...GREEDY, tenant }))
      assert.deepEqual([await ask('a'), await ask('b')], [0, 0])
      assert.ok((await ask('a')) > 0 && (await ask('b')) > 0)
    })

    test('are neither taken nor left with cachePrompt: false', async () => {
      const ask = async (cachePrompt) => cachedTokens(await model.chat(QUESTION, { ...GREEDY, tenant: 'c', cachePrompt }))
      assert.deepEqual([await ask(false), await ask(true), await ask(false)], [0, 0, 0])
      assert.ok((await ask(true)) > 0)
    })

    test('give the same text from the cache as without it', async () => {
      for (const talk of [QUESTION, [user('Count from 9 to 21.')], [user('Tell me a story about a lion')]]) {
        const alone = await model.chat(talk, { ...GREEDY, cachePrompt: false })
        await model.chat(talk, GREEDY)
        const again = await model.chat(talk, GREEDY)
        assert.equal(cachedTokens(again), again.usage.promptTokens - 1)
        assert.equal(again.text, alone.text)
      }
    })

    test('are computed once for all answers of one request', async () => {
      const computed = model.stats().promptTokens
      const talk = [...QUESTION, { role: 'assistant', content: 'The capital of France is Paris.' }, user('Thank you')]
      const { usage, choices } = await model.chat(talk, { ...GREEDY, n: 4, tenant: 'n' })
      assert.deepEqual(new Set(choices.map(({ text }) => text)).size, 1)
      assert.equal(usage.cachedTokens, 0)
      assert.equal(model.stats().promptTokens - computed, usage.promptTokens + 3)
    })

    test('stay when the request is cancelled', async () => {
      const tenant = 'cancelled'
      const generation = model.chat([user('Tell me a story about a lion')], { ...GREEDY, tenant, ignoreEos: true })
      for await (const part of generation) if (part.type === 'text-delta') break
      await until(() => model.stats().running === 0)
      assert.ok(cachedTokens(await model.chat([user('Tell me a story about a lion')], { ...GREEDY, tenant })) > 0)
    })

    test('are told apart by the adapters they were computed under, also by those that took a name over', async () => {
      const tenant = 'lora'
      const ask = async (options) => {
        const answer = await model.chat(QUESTION, { ...GREEDY, tenant, ...options })
        return [cachedTokens(answer) > 0, answer.text]
      }
      const [, plain] = await ask()
      await model.loadLora(PIRATE, { name: 'voice' })
      const [fromPlain, pirate] = await ask({ lora: 'voice' })
      assert.notEqual(pirate, plain)
      assert.equal(fromPlain, false)
      assert.deepEqual(await ask({ lora: 'voice' }), [true, pirate])
      assert.deepEqual(await ask(), [true, plain], 'loading it took nothing from others')
      await model.unloadLora('voice')
      await model.loadLora(PIRATE, { name: 'voice' })
      assert.deepEqual(await ask({ lora: 'voice' }), [false, pirate])
      assert.deepEqual(await ask(), [true, plain])
    })

    test('are shown by stats() and leave nothing running', () => {
      const { keptPrefixes, keptTokens, kvCellsUsed, running } = model.stats()
      assert.ok(keptPrefixes > 0 && keptPrefixes <= 32 && keptTokens > 0, `${keptPrefixes}, ${keptTokens}`)
      assert.deepEqual([running, kvCellsUsed], [0, 0])
    })
  })
}

describe('prompts that are kept', () => {
  test('give way to requests that need the room', async () => {
    const model = await loadModel(bundledModelPath(), { contextSize: 256, kvCells: 256, maxSequences: 2 })
    for (let i = 0; i < 8; i += 1) {
      const prompt = Uint32Array.from({ length: 120 }, (_, at) => 300 + ((at * 7 + i * 31) % 600))
      const { usage } = await model.generate(prompt, { ...GREEDY, maxTokens: 100, ignoreEos: true })
      assert.equal(usage.completionTokens, 100)
    }
    await model.close()
  })

  test('are lost with the process that held them, and nothing else is', async () => {
    const model = await loadModel(bundledModelPath(), { isolate: true })
    const ask = async () => cachedTokens(await model.chat(QUESTION, GREEDY))
    assert.equal(await ask(), 0)
    assert.ok((await ask()) > 0)
    const [child] = engineProcesses()
    process.kill(child, 'SIGKILL')
    // The first one to notice may be lost with it.
    const next = await ask().catch(({ code }) => (assert.equal(code, 'engine-failed'), ask()))
    assert.equal(next, 0)
    assert.ok((await ask()) > 0)
    await model.close()
  })

  test('belong to tenants with names of at most 256 bytes', async () => {
    const model = await loadModel(bundledModelPath())
    await assert.rejects(model.chat(QUESTION, { tenant: 'é'.repeat(129) }), /tenant holds at most 256 bytes, got 258/)
    await model.close()
  })
})

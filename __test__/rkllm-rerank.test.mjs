// Ranking documents: over both stand-ins for the NPU's runtime, and what llama.cpp says of the same.
import assert from 'node:assert/strict'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'

import { LlamaModel, RKLLMClient, bundledModelPath, quantize } from '../dist/index.mjs'
import { standinLibrary, standinModelPath } from '../dist/standin.mjs'

const QUERY = 'What is the capital of France?'
/**
 * Documents whose scores hardly depend on how a step is cut: "The capital of France is Paris." would be scored 0.27
 * to 0.63 as the rounding of eight-bit activations falls.
 */
const DOCUMENTS = [
  'Bob lives in Rome.',
  'The capital of Spain is Madrid.',
  'A spider has 8 legs.',
  'The capital of Spain is Madrid.',
  '',
]
/** What the cut of a step may move a score by: twice what was seen. */
const ROUNDING = 0.06
/** Leaves out long words of the system, so that the fields of the question are the whole prompt. */
const FIELDS_ALONE =
  "{% for m in messages %}{% if m.role == 'user' or m.content | length < 60 %}{{ m.content }}{% endif %}{% endfor %}"

const load = (abi, options) =>
  RKLLMClient.load(standinModelPath(), { libraryPath: standinLibrary(abi), contextSize: 512, ...options })

function isRefused(code, pattern, option) {
  return (error) => {
    assert.equal(error.code, code, String(error))
    assert.match(error.message, pattern)
    if (option !== undefined) assert.equal(error.details.option, option)
    return true
  }
}

function assertRanked({ results }, count = DOCUMENTS.length) {
  assert.equal(results.length, count)
  for (const { score } of results) assert.ok(score >= 0 && score <= 1, `${score}`)
  for (const [i, { index, score }] of results.entries()) {
    const before = results[i - 1]
    if (before !== undefined) assert.ok(before.score > score || (before.score === score && before.index < index))
  }
}

/** The scores in the order of the documents. */
const scores = ({ results }) => [...results].sort((a, b) => a.index - b.index).map(({ score }) => score)

function assertNear(found, expected, what, most = ROUNDING) {
  for (const [i, score] of found.entries()) {
    assert.ok(Math.abs(score - expected[i]) < most, `${what}, document ${i}: ${score} and ${expected[i]}`)
  }
}

let expected
before(async () => {
  const model = await LlamaModel.load(bundledModelPath(), { contextSize: 512 })
  expected = scores(await model.rerank(QUERY, DOCUMENTS))
  await model.close()
})

describe('llama.cpp ranks', () => {
  let model
  before(async () => {
    model = await LlamaModel.load(bundledModelPath(), { contextSize: 512, maxQueue: 0, maxSequences: 2 })
  })
  after(() => model.close())

  test('more documents than there are places, and the same as alone', async () => {
    const many = Array.from({ length: 40 }, (_, i) => DOCUMENTS[i % DOCUMENTS.length])
    const ranking = await model.rerank(QUERY, many)
    assertRanked(ranking, 40)
    assertNear(scores(ranking), many.map((_, i) => expected[i % expected.length]), 'many')
    assert.ok(ranking.usage.promptTokens > 40 * 20)
  })

  test('the same in a process of its own', async () => {
    const isolated = await LlamaModel.load(bundledModelPath(), { contextSize: 512, isolate: true })
    assertNear(scores(await isolated.rerank(QUERY, DOCUMENTS)), expected, 'isolated')
    await isolated.close()
  })

  test('the same with beginnings shared or computed anew, where no number is rounded to eight bits', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'rkllmjs-rerank-'))
    const path = join(folder, 'f32.gguf')
    await quantize(bundledModelPath(), path, { type: 'f32', allowRequantize: true })
    const documents = [...DOCUMENTS, 'The capital of France is Paris.']
    const rank = async (options) => {
      const whole = await LlamaModel.load(path, { contextSize: 512, ...options })
      const ranking = await whole.rerank(QUERY, documents)
      const { keptPrefixes } = whole.stats()
      await whole.close()
      return { found: scores(ranking), keptPrefixes }
    }
    const shared = await rank({})
    const alone = await rank({ contextOverflow: 'shift' })
    await rm(folder, { recursive: true })
    assert.ok(shared.keptPrefixes > 0 && !alone.keptPrefixes, 'one of them shares')
    assertNear(shared.found, alone.found, 'shared', 0.02)
  })

  test('nothing on a model that only reads, and says what would', async () => {
    const reads = await LlamaModel.load(bundledModelPath(), { embedding: true })
    await assert.rejects(reads.rerank(QUERY, DOCUMENTS), isRefused('unsupported', /embedding: true/))
    await reads.close()
  })

  test('a long list until the model closes', async () => {
    const closing = await LlamaModel.load(bundledModelPath(), { contextSize: 512 })
    const ranking = closing.rerank(QUERY, Array.from({ length: 1000 }, () => DOCUMENTS[1]))
    setTimeout(() => closing.close(), 50)
    await assert.rejects(ranking, { code: 'closed' })
  })
})

for (const abi of ['1.2', '1.3']) {
  for (const isolate of [true, false]) {
    describe(`an NPU runtime of ${abi} with isolate: ${isolate} ranks`, () => {
      let model
      before(async () => {
        model = await load(abi, { isolate })
      })
      after(() => model.close())

      test('as llama.cpp does, the best first and equal ones in their order', async () => {
        const ranking = await model.rerank(QUERY, DOCUMENTS)
        assertRanked(ranking)
        assertNear(scores(ranking), expected, abi)
        const places = ranking.results.map(({ index }) => index)
        assert.equal(places.indexOf(3), places.indexOf(1) + 1)
      })

      test('as many as topN says', async () => {
        const all = await model.rerank(QUERY, DOCUMENTS)
        assert.deepEqual((await model.rerank(QUERY, DOCUMENTS, { topN: 2 })).results, all.results.slice(0, 2))
        assertRanked(await model.rerank(QUERY, DOCUMENTS, { topN: 1024 }))
      })

      test('while answers are made, which stay what they are', async () => {
        const asked = { maxTokens: 12, ...(abi === '1.3' && { temperature: 0 }) }
        const [ranking, { usage }, again] = await Promise.all([
          model.rerank(QUERY, DOCUMENTS),
          model.generate('Once upon a time', asked),
          model.rerank(QUERY, DOCUMENTS),
        ])
        assert.deepEqual(scores(ranking), scores(again))
        assert.ok(usage.completionTokens > 0)
      })

      test('nothing that is wrong, and names it', async () => {
        const cases = [
          [['', ['a']], isRefused('invalid-request', /query must not be empty/, 'query')],
          [[' \n', ['a']], isRefused('invalid-request', /query must not be empty/, 'query')],
          [[1, ['a']], isRefused('invalid-request', /query must be a string/)],
          [['q', []], isRefused('invalid-request', /documents must hold 1 to 1024 texts, got 0/, 'documents')],
          [['q', Array(1025).fill('a')], isRefused('invalid-request', /got 1025/, 'documents')],
          [['q', 'a'], isRefused('invalid-request', /documents must be an array/, 'documents')],
          [['q', ['a', 2]], isRefused('invalid-request', /documents\[1\] must be a string/, 'documents')],
          [['q', ['a'], { topN: 0 }], isRefused('invalid-request', /topN must be between 1 and 1024, got 0/, 'topN')],
          [['q', ['a'], { topN: 1.5 }], isRefused('invalid-request', /topN must be a whole number/, 'topN')],
          [['q', ['a'], { topn: 1 }], isRefused('invalid-request', /topN/)],
        ]
        for (const [args, isRight] of cases) await assert.rejects(model.rerank(...args), isRight)
      })

      test('no document that does not fit, and says which', async () => {
        const long = 'word '.repeat(800)
        await assert.rejects(model.rerank(QUERY, ['a', 'b', long]), (error) => {
          assert.equal(error.code, 'context-exceeded')
          assert.match(error.message, /^documents\[2\] is too long/)
          const { document, promptTokens, contextSize } = error.details
          assert.deepEqual([document, contextSize], [2, 512])
          assert.ok(promptTokens > 512)
          return true
        })
        assertRanked(await model.rerank(QUERY, DOCUMENTS))
      })
    })
  }

  test(`a score on a runtime of ${abi} is the softmax of the last logits of yes and no`, async () => {
    const model = await load(abi, { chatTemplate: FIELDS_ALONE })
    const [instruction, query, document] = ['Be strict', 'What is it?', 'It is a cat.']
    const { results } = await model.rerank(query, [document], { instruction })
    const prompt = `<Instruct>: ${instruction}\n\n<Query>: ${query}\n\n<Document>: ${document}`
    const { values, rows, size } = await model.generate(model.tokenize(prompt, { addSpecial: true }), { mode: 'logits' })
    const last = values.subarray((rows - 1) * size)
    const [yes, no] = ['yes', 'no'].map((word) => last[model.tokenize(word)[0]])
    assert.ok(Math.abs(results[0].score - 1 / (1 + Math.exp(no - yes))) < 1e-4, `${results[0].score} ${yes} ${no}`)
    await model.close()
  })
}

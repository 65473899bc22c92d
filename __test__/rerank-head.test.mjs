// Ranking with a head of the model's own: small rerankers with random weights, so that a score is a matter of arithmetic.
import assert from 'node:assert/strict'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import { after, before, describe, test } from 'node:test'
import { loadModel } from 'rkllmjs'
import { isError } from './support/expect.mjs'
import { readGguf } from './support/gguf-file.mjs'
import { syntheticModel } from './support/synthetic.mjs'

const folder = mkdtempSync(path.join(os.tmpdir(), 'rkllmjs-rerank-head-'))
after(() => rmSync(folder, { recursive: true, force: true }))

const encoder = () => syntheticModel('cross-encoder', '--type', 'f32')
const decoder = () => syntheticModel('rerank', '--type', 'f32')
const load = (file, options) => loadModel(file, { threads: 1, ...options })

const QUERY = 'what is the capital of france'
const DOCUMENTS = ['the capital is paris', 'a dog and a cat', '', 'the capital is paris', 'w9 w8 w7 w6 w5 w4 w3 w2 w1']
/** What the same batch computed in another way may differ by. */
const NEAR = 1e-4
/** What other documents in a batch may change: attention rounds to 16 bits, and rounds differently cut. Scores lie 0.3 apart. */
const IN_COMPANY = 5e-3

/** The scores in the order of the documents. */
const scores = ({ results }) => [...results].sort((a, b) => a.index - b.index).map(({ score }) => score)

function assertNear(found, expected, what, most = NEAR) {
  assert.equal(found.length, expected.length, what)
  for (const [i, score] of found.entries()) {
    assert.ok(Math.abs(score - expected[i]) < most, `${what}, document ${i}: ${score} and ${expected[i]}`)
  }
}

function assertBestFirst({ results }) {
  for (const [i, { index, score }] of results.entries()) {
    assert.ok(score >= 0 && score <= 1, `${score}`)
    const before = results[i - 1]
    if (before !== undefined) assert.ok(before.score > score || (before.score === score && before.index < index))
  }
}

/** A matrix of `dims` (columns first) times a vector, plus a bias. */
const layer = ({ dims: [columns], values }, bias, vector) =>
  Array.from(bias, (start, row) => vector.reduce((sum, x, i) => sum + x * values[row * columns + i], start))

describe('a cross-encoder', () => {
  let model
  before(async () => {
    model = await load(encoder())
  })
  after(() => model.close())

  test('says that it ranks with a head and does not generate', () => {
    const { ranksWith, generates, architecture } = model.info
    assert.deepEqual({ ranksWith, generates, architecture }, { ranksWith: 'head', generates: false, architecture: 'bert' })
  })

  test('gives scores from 0 to 1, the best first and equal ones in their order', async () => {
    const ranking = await model.rerank(QUERY, DOCUMENTS)
    assert.equal(ranking.results.length, DOCUMENTS.length)
    assertBestFirst(ranking)
    const found = scores(ranking)
    assert.ok(Math.max(...found) - Math.min(...found) > 0.05, `scores differ: ${found}`)
    assert.ok(Math.abs(found[0] - found[3]) < NEAR)
  })

  test('scores what its head says of the first token after both texts', async () => {
    // A word of the vocabulary in the separator's place lets a text for embed() be spelled as a pair is.
    const { bytes, places, tensors } = readGguf(encoder())
    const word = 'w99'
    const [id] = model.tokenize(word)
    bytes.writeUInt32LE(id, places.get('tokenizer.ggml.seperator_token_id'))
    const file = path.join(folder, 'separated-by-a-word.gguf')
    writeFileSync(file, bytes)
    const ranks = await load(file)
    const embeds = await load(file, { pooling: 'cls' })
    const found = scores(await ranks.rerank(QUERY, DOCUMENTS))
    const texts = DOCUMENTS.map((document) => `${QUERY} ${word} ${document}`)
    const { embeddings, usage } = await embeds.embed(texts, { normalize: false })
    const weights = (name) => tensors.get(`cls.${name}`)
    const expected = embeddings.map((vector) => {
      const dense = layer(weights('weight'), weights('bias').values, vector).map(Math.tanh)
      const [logit] = layer(weights('output.weight'), weights('output.bias').values, dense)
      return 1 / (1 + Math.exp(-logit))
    })
    assertNear(found, expected, 'by hand')
    // The same from a model that was loaded to embed, and the same tokens were read.
    const ranking = await embeds.rerank(QUERY, DOCUMENTS)
    assertNear(scores(ranking), expected, 'beside vectors')
    assert.equal(ranking.usage.promptTokens, usage.promptTokens)
    await Promise.all([ranks.close(), embeds.close()])
  })

  test('counts the tokens of both texts and of those around them', async () => {
    const count = (text) => model.tokenize(text).length
    const expected = DOCUMENTS.reduce((sum, document) => sum + count(QUERY) + count(document) + 3, 0)
    assert.equal((await model.rerank(QUERY, DOCUMENTS)).usage.promptTokens, expected)
  })

  test('gives each of many documents the score that it has alone', async () => {
    const many = Array.from({ length: 40 }, (_, i) => `${DOCUMENTS[i % DOCUMENTS.length]} w${i} `.repeat(1 + (i % 7)))
    const together = await model.rerank(QUERY, many)
    assertBestFirst(together)
    const alone = []
    for (const document of many) alone.push(...scores(await model.rerank(QUERY, [document])))
    assertNear(scores(together), alone, 'alone', IN_COMPANY)
  })

  test('names as many as topN says', async () => {
    const all = await model.rerank(QUERY, DOCUMENTS)
    const two = await model.rerank(QUERY, DOCUMENTS, { topN: 2 })
    assert.deepEqual(two.results.map(({ index }) => index), all.results.slice(0, 2).map(({ index }) => index))
    assert.equal(two.usage.promptTokens, all.usage.promptTokens)
  })

  test('does the same in a process of its own', async () => {
    const isolated = await load(encoder(), { isolate: true })
    assert.deepEqual([isolated.info.ranksWith, isolated.info.isolated], ['head', true])
    assertNear(scores(await isolated.rerank(QUERY, DOCUMENTS)), scores(await model.rerank(QUERY, DOCUMENTS)), 'isolated')
    await isolated.close()
  })

  test('refuses a document that is too long and says which', async () => {
    const long = 'word '.repeat(600)
    await assert.rejects(model.rerank(QUERY, ['a', 'b', long]), (error) => {
      isError('context-exceeded', /^documents\[2\] is too long with the query: /)(error)
      const { document, promptTokens, contextSize } = error.details
      assert.deepEqual([document, contextSize], [2, 512])
      assert.equal(promptTokens, model.tokenize(QUERY).length + model.tokenize(long).length + 3)
      return true
    })
    assertBestFirst(await model.rerank(QUERY, DOCUMENTS))
  })

  test('refuses what it cannot do and names it', async () => {
    await assert.rejects(model.rerank(QUERY, DOCUMENTS, { instruction: 'Be strict' }), (error) => {
      assert.equal(error.details.option, 'instruction')
      return isError('unsupported', /^instruction /)(error)
    })
    await assert.rejects(model.embed('a'), isError('unsupported', /use rerank\(\)/))
    await assert.rejects(model.generate('a'), isError('unsupported'))
    await assert.rejects(model.rerank(' ', DOCUMENTS), isError('invalid-request', /query must not be empty/))
    await assert.rejects(model.rerank(QUERY, []), isError('invalid-request', /documents must hold 1 to 1024 texts/))
    await assert.rejects(model.rerank(QUERY, ['a'], { topN: 0 }), isError('invalid-request', /topN/))
  })

  for (const isolate of [false, true]) {
    test(`stops when it is closed, with isolate: ${isolate}`, async () => {
      const closing = await load(encoder(), { isolate })
      const ranking = closing.rerank(QUERY, Array(1000).fill('w1 '.repeat(400)))
      setTimeout(() => closing.close(), 50)
      await assert.rejects(ranking, isError('closed'))
    })
  }
})

describe('a decoder with a head', () => {
  let model
  before(async () => {
    model = await load(decoder(), { contextSize: 256 })
  })
  after(() => model.close())

  test('ranks by the probability of its first label, and generates too', async () => {
    assert.deepEqual([model.info.ranksWith, model.info.generates], ['head', true])
    const documents = DOCUMENTS.filter((document) => document !== '')
    const [ranking, { usage }] = await Promise.all([
      model.rerank(QUERY, documents),
      model.generate('Once', { maxTokens: 4, ignoreEos: true }),
    ])
    assertBestFirst(ranking)
    assert.equal(usage.completionTokens, 4)
    const alone = []
    for (const document of documents) alone.push(...scores(await model.rerank(QUERY, [document])))
    assertNear(scores(ranking), alone, 'alone', IN_COMPANY)
    assert.ok(Math.max(...alone) - Math.min(...alone) > 0.1, `scores differ: ${alone}`)
  })

  test('reads what documents spell of control tokens as text', async () => {
    const document = 'a <|im_end|> b'
    const { usage } = await model.rerank(QUERY, [document])
    const { usage: plain } = await model.rerank(QUERY, ['a '])
    assert.ok(usage.promptTokens > plain.promptTokens + 3, `${usage.promptTokens} and ${plain.promptTokens}`)
  })

  test('ranks where it is loaded to read alone', async () => {
    const reads = await load(decoder(), { contextSize: 256, embedding: true })
    assert.deepEqual([reads.info.ranksWith, reads.info.generates], ['head', false])
    assertNear(scores(await reads.rerank(QUERY, ['a'])), scores(await model.rerank(QUERY, ['a'])), 'reads')
    await assert.rejects(reads.embed('a'), isError('unsupported', /use rerank\(\)/))
    await reads.close()
  })
})

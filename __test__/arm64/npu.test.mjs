// The stand-ins for the NPU's runtime, cross-built for linux-arm64, in an arm64 Node under an emulated CPU: what a
// board would run but for the vendor's library.
import assert from 'node:assert/strict'
import path from 'node:path'
import { before, describe, test } from 'node:test'

import { LIBRARIES } from '../../scripts/arm64/platform.mjs'
import { run } from '../processes/run.mjs'
import { ALMOST_THE_SAME, cosine } from './cosine.mjs'
import { CORTEX_A76, report, runEmulated } from './emulated.mjs'
import { dotProducts, newestGlibc } from './machine-code.mjs'

const HERE_MS = 60_000

describe('the files', () => {
  for (const file of LIBRARIES) {
    const name = path.basename(file)

    test(`${name} computes with the dot product, on a glibc of Debian 12`, async (t) => {
      const [found, minor] = [await dotProducts(file), await newestGlibc(file)]
      t.diagnostic(`${found} sdot instructions, GLIBC_2.${minor}`)
      assert.ok(found > 0)
      assert.ok(minor <= 36)
    })

    test(`${name} opens`, async () => {
      const { end, stdout, stderr } = await runEmulated(CORTEX_A76, '../arm64/library', [file])
      assert.deepEqual({ end, stdout }, { end: 'exit 0', stdout: 'opened\n' }, stderr)
    })
  }
})

for (const abi of ['1.2', '1.3']) {
  describe(`a model on a runtime of ${abi} on a Cortex-A76`, () => {
    let here
    let there

    before(async () => {
      here = await report(run('../arm64/npu', [abi], { limitMs: HERE_MS }))
      there = await report(runEmulated(CORTEX_A76, '../arm64/npu', [abi]))
    })

    test('it is arm64 and the stand-in that run', () => {
      assert.deepEqual([here.arch, there.arch], ['x64', 'arm64'])
      assert.deepEqual(there.runtime, here.runtime)
      assert.equal(there.runtime.standIn, true)
    })

    test('greedy answers are those of this machine', (t) => {
      for (const { text } of there.answers) t.diagnostic(text)
      assert.deepEqual(there.answers, here.answers)
      assert.equal(there.answers[0].text, 'The capital of France is Paris.')
    })

    test('a stream and an abort do what they do here', () => {
      assert.equal(there.streamed, there.answers[0].text)
      assert.deepEqual(there.aborted, here.aborted)
      assert.deepEqual(there.aborted, { rejectsWithTheReason: true, hasPartialText: true })
    })

    test('a prompt cache that was saved is used', () => {
      const [before, after] = there.promptCache
      assert.equal(after, before)
      assert.deepEqual(there.promptCache, here.promptCache)
    })

    test('a tool is called, and its answer used', () => {
      assert.deepEqual(there.toolCalls, here.toolCalls)
      assert.equal(there.toolCalls.finishReason, 'tool-calls')
    })

    test('an adapter is swapped in and out', () => {
      assert.deepEqual(there.adapters, here.adapters)
      const [before, pirate, after] = there.adapters
      assert.equal(after, before)
      assert.notEqual(pirate, before)
    })

    test('documents are ranked alike', (t) => {
      for (const { index, score } of there.ranking) t.diagnostic(`${index}: ${score}`)
      assert.deepEqual(
        there.ranking.map(({ index }) => index),
        here.ranking.map(({ index }) => index),
      )
      for (const [i, { score }] of there.ranking.entries()) assert.ok(Math.abs(score - here.ranking[i].score) < 0.05)
    })

    test('embeddings point where they do here', (t) => {
      const cosines = there.embeddings.map((vector, i) => cosine(vector, here.embeddings[i]))
      t.diagnostic(`cosines ${cosines.map((value) => value.toFixed(6)).join(', ')}`)
      assert.ok(cosines.every((value) => value > ALMOST_THE_SAME))
      assert.ok(cosine(...there.embeddings) < Math.min(...cosines), 'the two texts differ')
    })
  })
}

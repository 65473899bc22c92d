// What is cross-built for linux-arm64, in an arm64 Node under an emulated CPU.
import assert from 'node:assert/strict'
import { before, describe, test } from 'node:test'

import { ADDON } from '../../scripts/arm64/platform.mjs'
import { run } from '../processes/run.mjs'
import { ALMOST_THE_SAME, cosine } from './cosine.mjs'
import { CORTEX_A72, CORTEX_A76, report, runEmulated } from './emulated.mjs'
import { dotProducts, newestGlibc } from './machine-code.mjs'

/** What decides a greedy answer where two kernels differ: in batches 0.05, and here ten times that. */
const FAR_FROM_A_TIE = 0.5
const HERE_MS = 60_000

describe('the file', () => {
  test('computes with the dot product', async (t) => {
    const found = await dotProducts(ADDON)
    t.diagnostic(`${found} sdot instructions`)
    assert.ok(found > 0)
  })

  test('asks for no newer glibc than Debian 12 has', async (t) => {
    const minor = await newestGlibc(ADDON)
    t.diagnostic(`GLIBC_2.${minor}`)
    assert.ok(minor <= 36)
  })
})

describe('on a Cortex-A76', () => {
  let here
  let there

  before(async () => {
    here = await report(run('../arm64/answers', [], { limitMs: HERE_MS }))
    there = await report(runEmulated(CORTEX_A76, '../arm64/answers'))
  })

  test('it is arm64 that runs', () => assert.deepEqual([here.arch, there.arch], ['x64', 'arm64']))

  test('the questions are far from near ties', () => {
    for (const { prompt, narrowest } of [...here.answers, ...there.answers]) {
      assert.ok(narrowest > FAR_FROM_A_TIE, `${prompt}: ${narrowest}`)
    }
  })

  test('greedy answers are those of this machine', (t) => {
    for (const { prompt, text } of there.answers) t.diagnostic(`${prompt} → ${text}`)
    // How many tokens are guessed depends on time.
    const counted = ({ draftTokens, acceptedTokens, ...usage }) => usage
    const said = ({ answers }) =>
      answers.map(({ narrowest, ...answer }) => ({ ...answer, usage: counted(answer.usage) }))
    assert.deepEqual(said(there), said(here))
  })

  test('a stream, an abort, a seed and close() do what they do here', () => {
    const done = ({ streamed, aborted, sampled, closed }) => ({ streamed, aborted, sampled, closed })
    assert.deepEqual(done(there), done(here))
    assert.equal(there.streamed.text, there.answers[0].text)
    assert.deepEqual(there.aborted, { rejectsWithTheReason: true, hasPartialText: true })
    assert.equal(there.sampled.sameForTheSameSeed, true)
    assert.deepEqual(there.closed, { finishReason: 'cancelled', code: 'closed' })
  })

  test('embeddings point where they do here', (t) => {
    const cosines = there.embeddings.map((vector, i) => cosine(vector, here.embeddings[i]))
    t.diagnostic(`cosines ${cosines.map((value) => value.toFixed(6)).join(', ')}`)
    assert.ok(cosines.every((value) => value > ALMOST_THE_SAME))
    assert.ok(cosine(...there.embeddings) < Math.min(...cosines), 'the two texts differ')
  })

  // What each does is told in processes/endings.mjs.
  for (const [way, delay] of [['exit', 0], ['for-await', 300], ['really-exit', 300], ['close', 0], ['load', 100]]) {
    test(`a process ends: ${way}`, async () => {
      const { end, stderr } = await runEmulated(CORTEX_A76, 'endings', [way, delay])
      assert.equal(end, 'exit 7', stderr)
    })
  }
})

describe('on a Cortex-A72, which has no dot product', () => {
  test('answers are those of this machine', async () => {
    const [here, there] = await Promise.all([
      report(run('../arm64/answers', [], { limitMs: HERE_MS })),
      report(runEmulated(CORTEX_A72, '../arm64/answers')),
    ])
    const texts = ({ answers }) => answers.map(({ text }) => text)
    assert.deepEqual(texts(there), texts(here))
  })

  test('the flavour with it is refused', async () => {
    const { end, stderr } = await runEmulated(CORTEX_A72, '../arm64/answers', [], { RKLLMJS_FLAVOUR: 'dotprod' })
    assert.equal(end, 'exit 1')
    assert.match(stderr, /RKLLMJS_FLAVOUR is dotprod, and this CPU lacks asimddp/)
  })
})

// The arithmetic of the benchmarks: a wrong median would flatter silently.
import assert from 'node:assert/strict'
import { describe, test } from 'node:test'

import { promptsOf, words } from '../bench/measure/prompts.mjs'
import { median, spread } from '../bench/measure/statistics.mjs'
import { summarize } from '../bench/report.mjs'

describe('the statistics of benchmarks', () => {
  test('a median is the middle, or the mean of the two in the middle', () => {
    assert.equal(median([5, 1, 3]), 3)
    assert.equal(median([4, 1, 3, 2]), 2.5)
  })

  test('an interval holds 95 of 100 medians from six values on, and leaves out as many as it may', () => {
    // Twice the tail of a binomial with p = 1/2: of 9 values the 2nd and the 8th, of 21 the 6th and the 16th.
    const upTo = (count) => Array.from({ length: count }, (_, i) => i + 1)
    for (const [count, low, high] of [
      [5, 1, 5],
      [6, 1, 6],
      [9, 2, 8],
      [21, 6, 16],
    ]) {
      const found = spread(upTo(count))
      assert.deepEqual([found.low, found.high], [low, high], `${count} values`)
    }
  })

  test('a ratio is taken round by round', () => {
    const measures = [{ label: 'ms', better: 'less', of: ({ ms }) => ms }]
    const rows = [
      { name: 'rkllmjs', rounds: [{ ms: 10 }, { ms: 30 }, { ms: 50 }] },
      { name: 'other', rounds: [{ ms: 20 }, { ms: 60 }, { ms: 100 }] },
      { name: 'absent', rounds: [], error: 'not here' },
    ]
    const { contenders } = summarize({ name: 's', title: 's', measures }, rows)
    assert.equal(contenders[1].measures[0].oursOverThis.median, 0.5)
    assert.equal(contenders[0].measures[0].oursOverThis, undefined)
    assert.deepEqual([contenders[2].error, contenders[2].measures], ['not here', []])
  })

  test('a contender that made nothing has no figures instead of wrong ones', () => {
    const measures = [{ label: 'x', better: 'more', of: ({ a, b }) => a / b }]
    const rows = [
      { name: 'rkllmjs', rounds: [{ a: 1, b: 1 }] },
      { name: 'other', rounds: [{ a: 1, b: 0 }] },
    ]
    const { contenders } = summarize({ name: 's', title: 's', measures }, rows)
    assert.equal(contenders[1].measures[0].median, undefined)
  })
})

describe('the prompts of benchmarks', () => {
  const scenario = { name: 'shared', requests: 4, sharedWords: 50, promptWords: 5 }

  test('are the same for every contender and others in every round', () => {
    assert.deepEqual(promptsOf(scenario, 1), promptsOf(scenario, 1))
    const [first, second] = [promptsOf(scenario, 1), promptsOf(scenario, 2)]
    assert.ok(first.every((prompt, i) => prompt.slice(0, 40) !== second[i].slice(0, 40)))
  })

  test('share what a scenario says and no more', () => {
    const prompts = promptsOf(scenario, 3).map((prompt) => prompt.split(' '))
    for (const prompt of prompts) assert.deepEqual(prompt.slice(0, 50), prompts[0].slice(0, 50))
    assert.equal(new Set(prompts.map((prompt) => prompt.slice(50).join(' '))).size, 4)
  })

  test('have the words that were asked for', () => {
    assert.equal(words(500, 7).split(' ').length, 500)
  })
})

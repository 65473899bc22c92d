// `kvCacheType` and `flashAttention`: every pair that works answers, and the one that cannot is refused.
import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { isError, user } from './support/expect.mjs'
import { openTiny } from './support/models.mjs'

describe('a cache', () => {
  for (const flashAttention of [undefined, true, false]) {
    for (const kvCacheType of ['f16', 'q8_0', 'q4_0']) {
      const works = flashAttention !== false || kvCacheType === 'f16'
      test(`of ${kvCacheType} with flashAttention ${flashAttention} ${works ? 'answers' : 'is refused'}`, async () => {
        const loading = openTiny({ contextSize: 128, maxSequences: 2, flashAttention, kvCacheType })
        if (!works) return assert.rejects(loading, isError('invalid-request', /kvCacheType must be f16 without flash attention/))
        const model = await loading
        const { text } = await model.chat([user('What is the capital of France?')], { temperature: 0 })
        assert.equal(model.info.kvCacheType, kvCacheType)
        await model.close()
        assert.equal(text, 'The capital of France is Paris.')
      })
    }
  }
})

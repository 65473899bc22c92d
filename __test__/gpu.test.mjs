// `gpuLayers` in a build for the CPU.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { isError } from './support/expect.mjs'
import { openTiny } from './support/models.mjs'

const open = (options) => openTiny({ contextSize: 64, maxSequences: 1, ...options })

test('gpuLayers beyond a build for the CPU are refused by name', async () => {
  await assert.rejects(open({ gpuLayers: 1 }), isError('unsupported', /gpuLayers must be 0 or 'auto': this build computes on the CPU alone/))
  await assert.rejects(open({ gpuLayers: 1.5 }), isError('invalid-request', /gpuLayers/))
  for (const gpuLayers of ['auto', 0]) await (await open({ gpuLayers })).close()
})

// Question 10: whether loading and closing again and again leaves memory behind.
import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { test } from 'node:test'

import { loadModel } from '../../dist/index.mjs'
import { LOAD, finding, modelPath, noBoard } from './board.mjs'

const CYCLES = Number(process.env.RKLLMJS_HARDWARE_CYCLES ?? 10)

const mib = (bytes) => Math.round(bytes / 2 ** 20)
const available = () => Number(/MemAvailable:\s+(\d+)/.exec(readFileSync('/proc/meminfo', 'utf8'))[1]) * 1024

test('a model can be loaded and closed again and again', { skip: noBoard }, async () => {
  const free = []
  const resident = []
  const loads = []
  for (let cycle = 0; cycle < CYCLES; cycle += 1) {
    const startedAt = performance.now()
    const model = await loadModel(modelPath, LOAD)
    loads.push(Math.round(performance.now() - startedAt))
    const { text } = await model.generate('Once upon a time', { maxTokens: 4 })
    assert.notEqual(text, '')
    await model.close()
    free.push(mib(available()))
    resident.push(mib(process.memoryUsage.rss()))
  }
  finding(10, `${CYCLES} cycles; ms to load: ${loads.join(' ')}`)
  finding(10, `MiB of the machine free after each: ${free.join(' ')}`)
  finding(10, `MiB of the process after each: ${resident.join(' ')}`)
})

// Nobody may hold up the thread everybody shares: not streams in the background, not a call.
import assert from 'node:assert/strict'
import { availableParallelism } from 'node:os'
import { createHistogram, monitorEventLoopDelay } from 'node:perf_hooks'
import { after, before, describe, test } from 'node:test'
import { setTimeout as delay } from 'node:timers/promises'
import { Worker } from 'node:worker_threads'

import { bundledModelPath, loadModel } from '../dist/index.mjs'

/** As anyone would load a model who wants a core left for the event loop. */
const THREADS = Math.max(1, availableParallelism() - 1)
const STREAMS = 16
const MOST_MS = 5
const ROUNDS = 6
const ROUND_MS = 1000

/**
 * Adds the delays of the event loop during `ms` to `into`.
 *
 * They include the millisecond the monitor's timer takes by itself.
 */
async function monitor(ms, into) {
  const histogram = monitorEventLoopDelay({ resolution: 1 })
  histogram.enable()
  await delay(ms)
  histogram.disable()
  // An IntervalHistogram cannot be added to another one, so its counts are, percentile by percentile.
  let counted = 0
  for (const [percentile, nanoseconds] of histogram.percentiles) {
    const upTo = Math.round((percentile / 100) * histogram.count)
    for (; counted < upTo; counted += 1) into.record(Math.max(1, Math.round(nanoseconds)))
  }
}

const p99Ms = (histogram) => histogram.percentile(99) / 1e6

/** Threads that compute without end, as many as the engine has, and touch nothing of the main thread's. */
async function occupy() {
  const source = "require('node:worker_threads').parentPort.postMessage(1); for (;;);"
  const workers = Array.from({ length: THREADS }, () => new Worker(source, { eval: true }))
  await Promise.all(workers.map((worker) => new Promise((resolve) => worker.once('message', resolve))))
  return () => Promise.all(workers.map((worker) => worker.terminate()))
}

describe('the event loop', { timeout: 120_000 }, () => {
  let model
  before(async () => (model = await loadModel(bundledModelPath(), { threads: THREADS, maxSequences: STREAMS })))
  after(() => model.close())

  /** Reads `STREAMS` streams until `leave` is called, which returns how many parts there were. */
  function readStreams() {
    let isOver = false
    let parts = 0
    const read = async () => {
      while (!isOver) {
        for await (const _ of model.generate('Once upon a time', { maxTokens: 400, ignoreEos: true })) {
          parts += 1
          if (isOver) break
        }
      }
    }
    const readers = Array.from({ length: STREAMS }, read)
    return async () => {
      isOver = true
      await Promise.all(readers)
      return parts
    }
  }

  test(`is late by less than ${MOST_MS} ms beside ${STREAMS} streams, 99 times of 100`, async (t) => {
    // A busy machine makes any event loop late, whatever runs in it: other processes take its core.
    // So the same is measured beside threads that compute as much and share nothing with the main
    // thread, in rounds in between, and what is judged is how much the streams add to that.
    const baseline = createHistogram()
    const streaming = createHistogram()
    let parts = 0
    for (let round = 0; round < ROUNDS; round += 1) {
      const release = await occupy()
      await monitor(ROUND_MS, baseline)
      await release()
      const leave = readStreams()
      await monitor(ROUND_MS, streaming)
      parts += await leave()
    }
    const [without, with_] = [p99Ms(baseline), p99Ms(streaming)]
    t.diagnostic(`p99 ${with_.toFixed(2)} ms beside streams, ${without.toFixed(2)} ms beside busy threads`)
    t.diagnostic(`${baseline.count} and ${streaming.count} delays, ${parts} parts, worst ${(streaming.max / 1e6).toFixed(1)} ms`)
    assert.ok(parts > ROUNDS * STREAMS, 'the streams hardly ran')
    assert.ok(streaming.count > (ROUNDS * ROUND_MS) / 10, 'the event loop hardly ran')
    assert.ok(with_ - without < MOST_MS, `${with_ - without} ms`)
  })

  test('is held up by no call', async (t) => {
    // Two pages. What works on text takes time in proportion to it, here some 0.5 ms a page.
    const text = 'A brown fox lives near the river. '.repeat(100)
    const messages = [{ role: 'user', content: text.slice(0, 1000) }]
    const tokens = model.tokenize(text)
    const tooLong = text.repeat(3)
    const calls = {
      generate: () => void model.generate('Once upon a time', { maxTokens: 1 }),
      'generate with a prompt too long': () => void model.generate(tooLong, { maxTokens: 1 }),
      chat: () => void model.chat(messages, { maxTokens: 1 }),
      tokenize: () => model.tokenize(text),
      detokenize: () => model.detokenize(tokens),
      countTokens: () => model.countTokens(messages),
      applyChatTemplate: () => model.applyChatTemplate(messages),
      stats: () => model.stats(),
    }
    const leave = readStreams()
    await delay(100)
    const slow = []
    for (const [name, call] of Object.entries(calls)) {
      const times = []
      for (let i = 0; i < 20; i += 1) {
        const began = performance.now()
        call()
        times.push(performance.now() - began)
        await delay(1)
      }
      // The median: the system may take the core away in the middle of any call.
      const median = times.sort((a, b) => a - b)[times.length / 2]
      t.diagnostic(`${name}: ${median.toFixed(3)} ms, at most ${times.at(-1).toFixed(3)} ms`)
      if (median >= MOST_MS) slow.push(name)
    }
    await leave()
    assert.deepEqual(slow, [])
  })
})

/**
 * Does one thing many times and measures what the process keeps. Run with --expose-gc.
 *
 * Usage: memory.mjs <what> <times before the first measurement> <times in all>. Prints JSON.
 */
import { readFileSync, readdirSync } from 'node:fs'
import { setTimeout as delay } from 'node:timers/promises'
import { bundledModelPath, loadModel } from '../../dist/index.mjs'

const [what, first, total] = process.argv.slice(2)
const LONG_ANSWER = { maxTokens: 900, ignoreEos: true }
const OPTIONS = { threads: 1 }

let model

const repeated = {
  async load() {
    const loaded = await loadModel(bundledModelPath(), OPTIONS)
    await loaded.generate('Once', { maxTokens: 4, ignoreEos: true })
    await loaded.close()
  },
  /** Garbage instead of close(). */
  async drop() {
    await loadModel(bundledModelPath(), OPTIONS)
    // A round of the event loop, or what was awaited is still on the stack.
    await delay(1)
    globalThis.gc()
    await delay(1)
    globalThis.gc()
  },
  async cancel() {
    let generation
    const onToken = () => generation.cancel()
    generation = model.generate('Once upon a time', { ...LONG_ANSWER, onToken })
    const { finishReason } = await generation
    if (finishReason !== 'cancelled') throw new Error(`ended with ${finishReason}`)
  },
  async abort() {
    const controller = new AbortController()
    const onToken = () => controller.abort('enough')
    const generation = model.generate('Once upon a time', { ...LONG_ANSWER, onToken, signal: controller.signal })
    await generation.then(
      () => Promise.reject(new Error('not aborted')),
      () => {},
    )
  },
  /** Readers that stop reading and are forgotten: the sequence must come free. */
  async stall() {
    await readOnePart()
    await delay(1)
    globalThis.gc()
  },
}

/** In a function of its own, so that nothing keeps the reader. */
async function readOnePart() {
  const reader = model.generate('Once upon a time', { ...LONG_ANSWER, readerTimeoutMs: 50 })[Symbol.asyncIterator]()
  const { value } = await reader.next()
  if (value.type !== 'text-delta') throw new Error('no part')
}

async function measure() {
  for (let i = 0; i < 5; i += 1) {
    globalThis.gc()
    await delay(100)
  }
  const { heapUsed, external } = process.memoryUsage()
  const { running, waiting, kvCellsUsed } = model?.stats() ?? {}
  const now = { rss: process.memoryUsage.rss(), heapUsed, external, running, waiting, kvCellsUsed }
  if (process.platform !== 'linux') return now
  const weights = readFileSync('/proc/self/maps', 'utf8').split('\n').filter((line) => line.endsWith('.gguf')).length
  return { ...now, threads: readdirSync('/proc/self/task').length, weights }
}

if (what !== 'load' && what !== 'drop') model = await loadModel(bundledModelPath(), OPTIONS)

/**
 * The least of what was in use after the last rounds up to this one. What is kept is in all of them; what the
 * allocator holds back for the next round is there in some and not in others.
 */
const LAST_ROUNDS = 5
const lowest = (measures) => measures.reduce((low, one) => (one.rss < low.rss ? one : low))

const points = { before: Number(first), after: Number(total) }
const measured = { before: [], after: [] }
for (let round = 1; round <= points.after; round += 1) {
  await repeated[what]()
  for (const [name, point] of Object.entries(points)) {
    if (round <= point && round > point - LAST_ROUNDS) measured[name].push(await measure())
  }
}
console.log(JSON.stringify({ before: lowest(measured.before), after: lowest(measured.after) }))

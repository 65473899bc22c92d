// What a token costs the JavaScript thread: its CPU time for each token, by the way of reading.
//
//   node bench/streaming.mjs [--json] [--runs 5] [--tokens 900] [--streams 1,4,16] [--threads n]
import { readFileSync } from 'node:fs'
import { availableParallelism, cpus } from 'node:os'
import { parseArgs } from 'node:util'

import { bundledModelPath, loadModel, version } from '../dist/index.mjs'

const { values } = parseArgs({
  options: {
    json: { type: 'boolean', default: false },
    runs: { type: 'string', default: '5' },
    tokens: { type: 'string', default: '900' },
    streams: { type: 'string', default: '1,4,16' },
    threads: { type: 'string', default: String(Math.max(1, availableParallelism() - 1)) },
  },
})
const runs = Number(values.runs)
const maxTokens = Number(values.tokens)
const streamCounts = values.streams.split(',').map(Number)
const threads = Number(values.threads)

/** CPU time of this thread alone, in microseconds, and where it is read from. */
const clock = threadClock()

function threadClock() {
  if (typeof process.threadCpuUsage === 'function') {
    const read = () => {
      const { user, system } = process.threadCpuUsage()
      return user + system
    }
    return { name: 'process.threadCpuUsage()', read }
  }
  if (process.platform === 'linux') {
    const file = '/proc/thread-self/schedstat'
    return { name: file, read: () => Number(readFileSync(file, 'utf8').split(' ')[0]) / 1000 }
  }
  // Wall time outside of the wait for events: more than CPU time on a busy machine.
  const read = () => performance.eventLoopUtilization().active * 1000
  return { name: 'performance.eventLoopUtilization()', read }
}

/** Ways to read one answer; each returns how many pieces it was handed. */
const ways = {
  await: async (generation) => {
    await generation()
    return 0
  },
  onToken: async (generation) => {
    let pieces = 0
    await generation(() => {
      pieces += 1
    })
    return pieces
  },
  'for await': async (generation) => {
    let pieces = 0
    for await (const part of generation()) if (part.type === 'text-delta') pieces += 1
    return pieces
  },
}

async function measure(model, way, streams) {
  const options = { maxTokens, ignoreEos: true, temperature: 0 }
  const before = model.stats()
  const began = { cpu: clock.read(), time: performance.now() }
  const pieces = await Promise.all(
    Array.from({ length: streams }, () =>
      ways[way]((onToken) => model.generate('Once upon a time', onToken === undefined ? options : { ...options, onToken })),
    ),
  )
  const cpu = clock.read() - began.cpu
  const seconds = (performance.now() - began.time) / 1000
  const tokens = model.stats().completionTokens - before.completionTokens
  return {
    microsecondsPerToken: cpu / tokens,
    tokensPerSecond: tokens / seconds,
    busy: cpu / 1e6 / seconds,
    pieces: pieces.reduce((sum, count) => sum + count, 0),
    tokens,
  }
}

function median(numbers) {
  const sorted = [...numbers].sort((a, b) => a - b)
  return sorted[Math.floor(sorted.length / 2)]
}

function summary(results) {
  const of = (field) => results.map((result) => result[field])
  const costs = of('microsecondsPerToken')
  return {
    microsecondsPerToken: median(costs),
    least: Math.min(...costs),
    most: Math.max(...costs),
    tokensPerSecond: median(of('tokensPerSecond')),
    busy: median(of('busy')),
    tokens: median(of('tokens')),
    pieces: median(of('pieces')),
  }
}

const model = await loadModel(bundledModelPath(), { threads, maxSequences: Math.max(...streamCounts) })
const cases = streamCounts.flatMap((streams) => Object.keys(ways).map((way) => ({ streams, way, results: [] })))
for (const { way, streams } of cases) await measure(model, way, streams) // until everything is compiled
// Rounds over all cases rather than one case after the other: whatever slows the machine slows all.
for (let run = 0; run < runs; run += 1) {
  for (const { way, streams, results } of cases) results.push(await measure(model, way, streams))
}
await model.close()

const report = {
  version,
  node: process.version,
  processor: cpus()[0]?.model,
  processors: availableParallelism(),
  clock: clock.name,
  threads,
  maxTokens,
  runs,
  results: cases.map(({ streams, way, results }) => ({ streams, way, ...summary(results) })),
}

if (values.json) {
  console.log(JSON.stringify(report, null, 2))
} else {
  const { processor, processors, node } = report
  console.log(`${processor}, ${processors} processors, Node.js ${node}; ${threads} compute threads; CPU time from ${clock.name}`)
  console.log(`median of ${runs} runs, ${maxTokens} tokens a stream`)
  console.table(
    report.results.map(({ streams, way, microsecondsPerToken, least, most, tokensPerSecond, busy, tokens, pieces }) => ({
      streams,
      way,
      'µs/token': Number(microsecondsPerToken.toFixed(2)),
      least: Number(least.toFixed(2)),
      most: Number(most.toFixed(2)),
      'tokens/s': Math.round(tokensPerSecond),
      'thread busy': `${(busy * 100).toFixed(1)} %`,
      tokens,
      pieces,
    })),
  )
}

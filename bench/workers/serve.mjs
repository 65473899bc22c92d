import { monitorEventLoopDelay } from 'node:perf_hooks'
import { createInterface } from 'node:readline'

/**
 * Answers the lines of `compare.mjs`.
 *
 * `load(request)` loads a model. `ways` has a function for each way to ask, `(prompt, maxTokens, onFirst)`, which
 * calls `onFirst` at the first token and resolves to `{ promptTokens, completionTokens }`.
 */
export function serve({ load, ways }) {
  const operations = { load: timed(load), run: (request) => run(ways[request.way], request) }
  const lines = createInterface({ input: process.stdin })
  lines.on('line', async (line) => {
    const request = JSON.parse(line)
    let reply
    try {
      reply = await operations[request.op](request)
    } catch (error) {
      reply = { error: String(error?.stack ?? error) }
    }
    process.stdout.write(`${JSON.stringify(reply)}\n`)
  })
  lines.on('close', () => process.exit(0))
}

function timed(load) {
  return async (request) => {
    const began = performance.now()
    await load(request)
    return { loadMs: performance.now() - began }
  }
}

async function run(way, { prompts, maxTokens, watchesLoop }) {
  // Its timer wakes the thread every millisecond, which the compute threads pay for where they need every processor.
  const loop = watchesLoop ? monitorEventLoopDelay({ resolution: 1 }) : undefined
  loop?.enable()
  const cpu = process.cpuUsage()
  const began = performance.now()
  const firstTokenMs = []
  const answers = await Promise.all(
    prompts.map((prompt) => way(prompt, maxTokens, () => firstTokenMs.push(performance.now() - began))),
  )
  const wallMs = performance.now() - began
  const { user, system } = process.cpuUsage(cpu)
  loop?.disable()
  const sum = (field) => answers.reduce((total, answer) => total + answer[field], 0)
  return {
    wallMs,
    cpuMs: (user + system) / 1000,
    firstTokenMs,
    promptTokens: sum('promptTokens'),
    completionTokens: sum('completionTokens'),
    ...(loop && { loopDelayP99Ms: loop.percentile(99) / 1e6 }),
  }
}

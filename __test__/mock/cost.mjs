/**
 * Measures what a streamed part costs the main thread, from the addon's callback to the body of
 * a `for await` loop, and prints it as JSON.
 */
import { performance } from 'node:perf_hooks'

import { LlamaModel } from '../../dist/model.js'

const PARTS = 102_400
const ROUNDS = 3

const end = { usage: {}, timings: {}, choices: [] }

/** An addon that does nothing but call back. */
function open() {
  const native = {
    attach: (onReady) => (native.send = onReady),
    info: () => '{}',
    generate: () => ({ id: 1, stream() {}, cancel() {}, acknowledge() {}, partialText: () => '' }),
  }
  return { native, generation: new LlamaModel(native).generate('x') }
}

/** Seconds for all parts, each hop in a turn of the event loop of its own, as the addon's are. */
async function stream(partsPerHop) {
  const { native, generation } = open()
  const reading = count(generation)
  const parts = Array.from({ length: partsPerHop }, (_, token) => ({ index: 0, text: 'word ', tokens: [token] }))
  const started = performance.now()
  await new Promise((resolve) => {
    let sent = 0
    const hop = () => {
      native.send([{ id: 1, parts }])
      sent += partsPerHop
      if (sent < PARTS) setImmediate(hop)
      else resolve()
    }
    setImmediate(hop)
  })
  native.send([{ id: 1, parts: [], end }])
  if ((await reading) !== PARTS + 1) throw new Error('parts were lost')
  return (performance.now() - started) / 1000
}

async function count(generation) {
  let parts = 0
  for await (const _ of generation) parts += 1
  return parts
}

const costs = []
for (const partsPerHop of [1, 4, 16, 64]) {
  const rounds = []
  for (let round = 0; round < ROUNDS; round += 1) rounds.push(await stream(partsPerHop))
  // The best of the rounds: other work on the machine can only make one slower.
  costs.push({ partsPerHop, microseconds: (Math.min(...rounds) * 1e6) / PARTS })
}
console.log(JSON.stringify(costs))

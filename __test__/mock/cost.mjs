/**
 * Measures what a streamed part costs the main thread, from the addon's callback to the body of
 * a `for await` loop, and prints it as JSON.
 */
import { LlamaModel } from '../../dist/llama-model.js'

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

/**
 * Microseconds of processor time a part takes, each hop in a turn of the event loop of its own, as
 * the addon's are. Not time on the clock, which a busy machine stretches.
 */
async function stream(partsPerHop) {
  const { native, generation } = open()
  const reading = count(generation)
  const parts = Array.from({ length: partsPerHop }, (_, token) => ({ index: 0, text: 'word ', tokens: [token] }))
  const news = JSON.stringify([{ id: 1, parts }])
  const before = process.cpuUsage()
  await new Promise((resolve) => {
    let sent = 0
    const hop = () => {
      native.send(news)
      sent += partsPerHop
      if (sent < PARTS) setImmediate(hop)
      else resolve()
    }
    setImmediate(hop)
  })
  native.send(JSON.stringify([{ id: 1, parts: [], end }]))
  if ((await reading) !== PARTS + 1) throw new Error('parts were lost')
  const { user, system } = process.cpuUsage(before)
  return (user + system) / PARTS
}

/** The same through an AsyncGenerator, the plain way to write such a stream: what a part costs then. */
async function streamThroughGenerator() {
  const waiting = []
  let wake = () => {}
  async function* generate() {
    for (;;) {
      while (waiting.length === 0) await new Promise((resolve) => (wake = resolve))
      const { parts, end: isEnd } = JSON.parse(waiting.shift())[0]
      for (const { text, tokens, index } of parts) yield { type: 'text-delta', text, tokens, index }
      if (isEnd !== undefined) return
    }
  }
  const send = (news) => {
    waiting.push(news)
    wake()
  }
  const reading = count(generate())
  const news = JSON.stringify([{ id: 1, parts: [{ index: 0, text: 'word ', tokens: [0] }] }])
  const before = process.cpuUsage()
  await new Promise((resolve) => {
    let sent = 0
    const hop = () => {
      send(news)
      sent += 1
      if (sent < PARTS) setImmediate(hop)
      else resolve()
    }
    setImmediate(hop)
  })
  send(JSON.stringify([{ id: 1, parts: [], end }]))
  if ((await reading) !== PARTS) throw new Error('parts were lost')
  const { user, system } = process.cpuUsage(before)
  return (user + system) / PARTS
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
  // The best of the rounds: the first ones are slower until the code is compiled.
  costs.push({ partsPerHop, microseconds: Math.min(...rounds) })
}
const generator = []
for (let round = 0; round < ROUNDS; round += 1) generator.push(await streamThroughGenerator())
console.log(JSON.stringify({ costs, generatorMicroseconds: Math.min(...generator) }))

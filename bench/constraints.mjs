// What a constraint costs: the same request with and without one, turn by turn, on one loaded model.
//
//   node bench/constraints.mjs [model.gguf] [--pairs 9] [--threads n] [--tokens n]
//
// Both answers have the same length. Prints for each constraint the median of the ratios of decoding time and of
// processor time a token: 1.02 is 2 % slower with it.
import { parseArgs } from 'node:util'
import { bundledModelPath, loadModel } from '../dist/index.mjs'

import { median } from './measure/statistics.mjs'

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    pairs: { type: 'string', default: '9' },
    threads: { type: 'string', default: '2' },
    tokens: { type: 'string', default: '64' },
  },
})
const maxTokens = Number(values.tokens)
const model = await loadModel(positionals[0] ?? bundledModelPath(), {
  contextSize: 1024,
  maxSequences: 1,
  threads: Number(values.threads),
})

const text = { type: 'string', maxLength: 200 }
const person = {
  type: 'object',
  properties: {
    name: text,
    age: { type: 'integer', minimum: 0, maximum: 150 },
    email: { type: 'string', format: 'email' },
    address: { type: 'object', properties: { street: text, city: text, country: { enum: ['Italy', 'France', 'Spain'] } }, required: ['street', 'city'], additionalProperties: false },
    friends: { type: 'array', items: { type: 'object', properties: { name: text, since: { type: 'string', format: 'date' } }, required: ['name', 'since'], additionalProperties: false } },
  },
  required: ['name', 'age', 'address', 'friends'],
  additionalProperties: false,
}

const constraints = {
  'a schema': { jsonSchema: { type: 'array', items: person, minItems: 50 } },
  'any object': { jsonSchema: { type: 'array', items: { type: 'object' }, minItems: 500 } },
  'a long text': { jsonSchema: { type: 'string', minLength: 4000, maxLength: 8000 } },
  'an expression': { regex: '([a-z]{1,9} ){400}' },
}

for (const [name, constraint] of Object.entries(constraints)) {
  await run(constraint)
  await run({})
  const pairs = []
  for (let pair = 0; pair < Number(values.pairs); pair += 1) {
    const first = pair % 2 === 0
    const one = await run(first ? constraint : {})
    const other = await run(first ? {} : constraint)
    pairs.push(first ? { held: one, free: other } : { held: other, free: one })
  }
  const ratio = (of) => median(pairs.map(({ held, free }) => of(held) / of(free))).toFixed(3)
  const [{ held, free }] = pairs
  console.log(
    `${name}: time ${ratio(({ decodeMs, tokens }) => decodeMs / tokens)}, processor ${ratio(({ cpuMs, tokens }) => cpuMs / tokens)}; ` +
      `${(held.decodeMs / held.tokens).toFixed(2)} instead of ${(free.decodeMs / free.tokens).toFixed(2)} ms a token`,
  )
}
await model.close()

/** One answer of `maxTokens` tokens; sampled, so that it does not repeat itself. */
async function run(constraint) {
  const before = process.cpuUsage()
  const { tokens, timings } = await model.generate('Here is some data:\n', {
    temperature: 1,
    seed: 1,
    maxTokens,
    cachePrompt: true,
    ignoreEos: true,
    speculative: { mode: 'none' },
    ...constraint,
  })
  const { user, system } = process.cpuUsage(before)
  return { decodeMs: timings.decodeMs, tokens: tokens.length, cpuMs: (user + system) / 1000 }
}

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

const PEOPLE = String.raw`
root ::= "[" space person ("," space person){49,} "]" space
person ::= "{" space "\"name\"" space ":" space text "," space "\"age\"" space ":" space age "," space ("\"email\"" space ":" space email "," space)? "\"address\"" space ":" space address "," space "\"friends\"" space ":" space friends "}" space
address ::= "{" space "\"street\"" space ":" space text "," space "\"city\"" space ":" space text ("," space "\"country\"" space ":" space country)? "}" space
country ::= ("\"Italy\"" | "\"France\"" | "\"Spain\"") space
friends ::= "[" space (friend ("," space friend)*)? "]" space
friend ::= "{" space "\"name\"" space ":" space text "," space "\"since\"" space ":" space date "}" space
date ::= "\"" [0-9]{4} "-" ("0" [1-9] | "1" [0-2]) "-" ("0" [1-9] | [1-2] [0-9] | "3" [0-1]) "\"" space
email ::= "\"" [a-z0-9.]{1,30} "@" [a-z0-9]{1,30} "." [a-z]{2,6} "\"" space
age ::= ([0-9] | [1-9] [0-9] | "1" [0-4] [0-9] | "150") space
text ::= "\"" char{0,200} "\"" space
char ::= [^"\\\x7F\x00-\x1F] | [\\] (["\\bfnrt] | "u" [0-9a-fA-F]{4})
space ::= | " " | "\n"{1,2} [ \t]{0,20}
`

const constraints = {
  'a schema': { jsonSchema: { type: 'array', items: person, minItems: 50 } },
  'any object': { jsonSchema: { type: 'array', items: { type: 'object' }, minItems: 500 } },
  'a long text': { jsonSchema: { type: 'string', minLength: 4000, maxLength: 8000 } },
  'an expression': { regex: '([a-z]{1,9} ){400}' },
  // What llama.cpp's own grammars cost for the same, as its converter writes schemas.
  'the schema as GBNF': { grammar: PEOPLE },
  'the expression as GBNF': { grammar: 'root ::= (word " "){400}\nword ::= [a-z]{1,9}' },
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

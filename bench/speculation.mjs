// What guesses bring: the same greedy request with and without them, turn by turn, on one loaded model.
//
//   node bench/speculation.mjs [model.gguf] [--pairs 9] [--threads n] [--tokens n]
//
// Prints for each text the median of the ratios of decoding time and of processor time, and whether the texts are
// equal. More than 1 is a gain.
import { readFileSync } from 'node:fs'
import path from 'node:path'
import { parseArgs } from 'node:util'
import { bundledModelPath, loadModel } from '../dist/index.mjs'

import { median } from './measure/statistics.mjs'

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    pairs: { type: 'string', default: '9' },
    threads: { type: 'string' },
    tokens: { type: 'string', default: '96' },
    'draft-model': { type: 'string' },
  },
})
const file = positionals[0] ?? bundledModelPath()
const isBundled = file === bundledModelPath()
const draftModel = values['draft-model']
const mode = draftModel === undefined ? 'lookup' : 'draft'
const model = await loadModel(file, {
  contextSize: 1024,
  maxSequences: 4,
  ...(values.threads === undefined ? {} : { threads: Number(values.threads) }),
  ...(draftModel === undefined ? {} : { draftModel }),
})

/** So few tokens to choose from that a model without sense runs in circles, as one with sense does in a list. */
const FEW = Object.fromEntries(Array.from({ length: 40 }, (_, place) => [400 + place * 7, 40]))

const texts = isBundled
  ? { 'copies its prompts': copies(), 'tells stories': stories() }
  : {
      'repeats itself': [{ prompt: 'hello world', options: { logitBias: FEW, ignoreEos: true } }],
      'does not repeat itself': [{ prompt: 'The quick brown fox', options: { ignoreEos: true } }],
    }

for (const [name, requests] of Object.entries(texts)) {
  await run(requests, 'none')
  await run(requests, mode)
  const pairs = []
  for (let pair = 0; pair < Number(values.pairs); pair += 1) {
    const results = {}
    for (const one of pair % 2 === 0 ? ['none', mode] : [mode, 'none']) results[one] = await run(requests, one)
    pairs.push({ plain: results.none, guessed: results[mode] })
  }
  const ratio = (of) => median(pairs.map(({ plain, guessed }) => of(plain) / of(guessed))).toFixed(2)
  const { plain, guessed } = pairs.at(-1)
  const equal = pairs.every(({ plain, guessed }) => plain.text === guessed.text)
  console.log(
    `${name}: time ${ratio(({ decodeMs }) => decodeMs)}, processor ${ratio(({ cpuMs }) => cpuMs)}, ` +
      `${equal ? 'equal' : 'DIFFERENT'} texts, ${guessed.accepted} of ${guessed.drafted} guesses right, ` +
      `${guessed.steps} steps instead of ${plain.steps}`,
  )
}
await model.close()

async function run(requests, mode) {
  const before = { steps: model.stats().steps, cpu: process.cpuUsage() }
  const total = { text: '', decodeMs: 0, drafted: 0, accepted: 0 }
  for (const { prompt, options } of requests) {
    const { text, usage, timings } = await model.generate(prompt, {
      temperature: 0,
      maxTokens: Number(values.tokens),
      cachePrompt: false,
      ...options,
      speculative: { mode },
    })
    total.text += `${text}\n`
    total.decodeMs += timings.decodeMs
    total.drafted += usage.draftTokens ?? 0
    total.accepted += usage.acceptedTokens ?? 0
  }
  const { user, system } = process.cpuUsage(before.cpu)
  return { ...total, cpuMs: (user + system) / 1000, steps: model.stats().steps - before.steps }
}

/** What the bundled model was asked to repeat, and what it says without being told. */
function heldout(skill) {
  const lines = readFileSync(path.join(path.dirname(file), 'heldout.jsonl'), 'utf8').trim().split('\n')
  return lines.map((line) => JSON.parse(line)).filter((item) => item.skill === skill)
}

function copies() {
  return heldout('copy').slice(0, 40).map(({ prompt }) => ({ prompt, options: {} }))
}

function stories() {
  return heldout('story').slice(0, 20).map(({ prompt }) => ({ prompt, options: {} }))
}

// Us beside our peers and beside the limit, on one model, in turns. `npm run bench` prepares what it needs.
//
//   node bench/compare.mjs --model m.gguf [--threads 2] [--rounds 9] [--only decode,generate-16]
//                          [--contenders rkllmjs,limit] [--json results.json]
import { mkdir, writeFile } from 'node:fs/promises'
import { availableParallelism, cpus } from 'node:os'
import { dirname, resolve } from 'node:path'
import { parseArgs } from 'node:util'

import { contenders } from './contenders/index.mjs'
import { summarize, toText } from './report.mjs'
import { runCold, runScenario } from './rounds.mjs'
import { scenarios } from './scenarios.mjs'

const COLD = {
  name: 'cold-start',
  title: 'from the start of a process to the first token',
  measures: [{ label: 'ms', better: 'less', of: ({ coldMs }) => coldMs }],
}

const { values } = parseArgs({
  options: {
    model: { type: 'string' },
    threads: { type: 'string', default: String(availableParallelism()) },
    rounds: { type: 'string', default: '9' },
    only: { type: 'string' },
    contenders: { type: 'string' },
    json: { type: 'string' },
  },
})
const model = resolve(required('model'))
const threads = positive('threads')
const rounds = positive('rounds')
const wanted = chosen('only', [...scenarios, COLD])
const taking = chosen('contenders', contenders)

const present = []
const versions = {}
for (const contender of taking) {
  try {
    versions[contender.name] = await contender.find()
    present.push(contender)
  } catch (error) {
    versions[contender.name] = null
    console.error(`${contender.name} takes no part: ${error.message.split('\n')[0]}`)
  }
}

const machine = { processor: cpus()[0]?.model ?? 'unknown', processors: cpus().length, node: process.version }
console.log(`${machine.processor}, ${machine.processors} processors, Node.js ${machine.node}; ${threads} threads`)
console.log(`${model}; ${rounds} rounds, median (interval)`)
for (const [name, version] of Object.entries(versions)) if (version !== null) console.log(`${name}: ${version}`)

const results = []
for (const scenario of wanted) {
  const onRound = (round, name) => {
    if (process.stderr.isTTY) process.stderr.write(`\r\u001B[K${scenario.name}: round ${round} of ${rounds}, ${name}`)
  }
  const rows =
    scenario === COLD
      ? await runCold(present, { model, threads, rounds, onRound })
      : await runScenario(scenario, present, { model, threads, rounds, onRound })
  if (process.stderr.isTTY) process.stderr.write('\r\u001B[K')
  const summary = summarize(scenario, rows)
  results.push(summary)
  console.log(toText(summary))
}

if (values.json !== undefined) {
  await mkdir(dirname(resolve(values.json)), { recursive: true })
  const document = { date: new Date().toISOString(), machine, model, threads, rounds, versions, results }
  await writeFile(values.json, `${JSON.stringify(document, undefined, 2)}\n`)
}

function required(name) {
  if (values[name] === undefined) fail(`--${name} is missing`)
  return values[name]
}

function positive(name) {
  const number = Number(values[name])
  if (!Number.isInteger(number) || number < 1) fail(`--${name} must be a whole number from 1 up, got ${values[name]}`)
  return number
}

function chosen(name, all) {
  if (values[name] === undefined) return all
  return values[name].split(',').map((one) => {
    const names = all.map((each) => each.name)
    return all[names.indexOf(one)] ?? fail(`--${name}: ${one} is none of ${names.join(', ')}`)
  })
}

function fail(message) {
  console.error(message)
  process.exit(2)
}

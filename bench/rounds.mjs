import { spawn } from 'node:child_process'

import { setTimeout as delay } from 'node:timers/promises'

import { memoryOf } from './measure/memory.mjs'
import { promptsOf } from './measure/prompts.mjs'
import { loopDelay } from './scenarios.mjs'

/** llama.cpp's threads look for work for about 370 ms after their last step, and would take it from who comes next. */
const QUIET_MS = 500

/**
 * Runs a scenario: every contender keeps its model loaded and they answer in turns, in an order that moves by one
 * each round. The first round warms up and does not count.
 *
 * Resolves to a row a contender: `{ name, loadMs, rounds: [...], memory }`, or `{ name, error }`.
 */
export async function runScenario(scenario, contenders, { model, threads, rounds, onRound }) {
  const config = { model, threads, context: scenario.context, sequences: scenario.requests }
  const rows = []
  for (const contender of contenders) {
    const row = { name: contender.name, rounds: [] }
    rows.push(row)
    try {
      row.session = await contender.start(config)
      row.loadMs = row.session.loadMs
    } catch (error) {
      row.error = error.message
    }
  }
  const neighbours = Array.from({ length: scenario.neighbours ?? 0 }, () => spawn(process.execPath, ['-e', 'for(;;);']))
  try {
    for (let round = 0; round <= rounds; round += 1) {
      const { maxTokens, way, measures } = scenario
      const watchesLoop = measures.includes(loopDelay)
      const request = { prompts: promptsOf(scenario, round), maxTokens, way, watchesLoop }
      for (let turn = 0; turn < rows.length; turn += 1) {
        const row = rows[(round + turn) % rows.length]
        if (row.error !== undefined) continue
        onRound?.(round, row.name)
        await delay(QUIET_MS)
        try {
          const result = await row.session.run(request)
          if (round > 0) row.rounds.push(result)
        } catch (error) {
          row.error = error.message
        }
      }
    }
    const stayed = rows.filter(({ session, error }) => session?.pid !== undefined && error === undefined)
    for (const row of stayed) row.memory = memoryOf(row.session.pid)
  } finally {
    for (const neighbour of neighbours) neighbour.kill('SIGKILL')
    for (const row of rows) await row.session?.close()
  }
  return rows.map(({ session: _, ...row }) => row)
}

/** From the start of a process to the first token of its answer, in milliseconds; in turns as above. */
export async function runCold(contenders, { model, threads, rounds, onRound }) {
  const rows = contenders.filter(({ cold }) => cold !== undefined).map(({ name, cold }) => ({ name, cold, rounds: [] }))
  for (let round = 0; round <= rounds; round += 1) {
    for (let turn = 0; turn < rows.length; turn += 1) {
      const row = rows[(round + turn) % rows.length]
      if (row.error !== undefined) continue
      onRound?.(round, row.name)
      try {
        const coldMs = await coldStart(row.cold, model, threads)
        if (round > 0) row.rounds.push({ coldMs })
      } catch (error) {
        row.error = error.message
      }
    }
  }
  return rows.map(({ cold: _, ...row }) => row)
}

function coldStart({ command, args }, model, threads) {
  return new Promise((resolve, reject) => {
    const began = performance.now()
    const child = spawn(command, [...args, model, String(threads)], { stdio: ['ignore', 'pipe', 'inherit'] })
    let coldMs
    child.stdout.on('data', (bytes) => {
      if (coldMs === undefined && bytes.includes('first')) coldMs = performance.now() - began
    })
    child.once('error', reject)
    child.once('exit', () => {
      if (coldMs === undefined) reject(new Error('it ended without a token'))
      else resolve(coldMs)
    })
  })
}

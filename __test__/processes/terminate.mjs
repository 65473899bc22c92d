/**
 * Starts workers that use models and terminates them at random moments, while the main thread's
 * model keeps answering. Usage: terminate.mjs <cycles> <long-context model>. Prints JSON.
 */
import { setTimeout as delay } from 'node:timers/promises'
import { Worker } from 'node:worker_threads'
import { bundledModelPath, loadModel } from '../../dist/index.mjs'

const [cycles, longModel] = process.argv.slice(2)
const HANG_MS = 10_000

/** What a worker is doing when it is terminated, and how long that takes at most, in ms. */
const PHASES = { load: 60, prefill: 80, decode: 60, stream: 40, closing: 5, closed: 5 }
const QUESTION = [{ role: 'user', content: 'Repeat this exactly: nokplock prafloo' }]

const report = { cycles: 0, hangs: 0, workerErrors: [], phases: {}, answers: 0, wrongAnswers: [] }
const model = await loadModel(bundledModelPath(), { threads: 1 })
let isOver = false

async function answer() {
  while (!isOver) {
    const { message } = await model.chat(QUESTION, { temperature: 0, maxTokens: 32 })
    report.answers += 1
    if (message.content !== 'nokplock prafloo') report.wrongAnswers.push(message.content)
  }
}

async function cycle(phase) {
  const worker = new Worker(new URL('worker.mjs', import.meta.url), { workerData: { phase, longModel } })
  const failed = new Promise((resolve) => worker.on('error', (error) => resolve(String(error))))
  const ready = new Promise((resolve) => worker.on('message', resolve))
  const problem = await Promise.race([ready.then(() => undefined), failed])
  if (problem !== undefined) report.workerErrors.push(problem)
  await delay(Math.random() * PHASES[phase])
  const terminated = await Promise.race([worker.terminate().then(() => true), delay(HANG_MS, false, { ref: false })])
  if (!terminated) report.hangs += 1
  report.cycles += 1
  report.phases[phase] = (report.phases[phase] ?? 0) + 1
}

const answering = answer()
const phases = Object.keys(PHASES)
for (let i = 0; i < Number(cycles); i += 1) await cycle(phases[i % phases.length])
isOver = true
await answering
console.log(JSON.stringify(report))
// Not close(): the process must end beside what is left.

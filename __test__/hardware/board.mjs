// What the hardware tests run on, why they do not, and how they say what they found.
import { spawn } from 'node:child_process'
import { fileURLToPath } from 'node:url'

import { diagnose } from '../../dist/index.mjs'

export const root = fileURLToPath(new URL('../..', import.meta.url))

/** The model that the tests run. */
export const modelPath = process.env.RKLLMJS_HARDWARE_MODEL

/** Small enough for every model, large enough for the questions. */
export const LOAD = { contextSize: 1024, temperature: 0, topK: 1, repeatPenalty: 1 }

const { runtime, npu, soc } = await diagnose()

/** The library, and whether it is the stand-in. */
export const { path: libraryPath, standIn } = runtime

/** Why nothing can be asked of a library here; false if something can. */
export const noLibrary = libraryPath === null ? `no library: ${runtime.reason}` : false

/** Why no model can run here; false if one can. */
export const noBoard = noLibrary || noNpu() || (modelPath === undefined && 'RKLLMJS_HARDWARE_MODEL names no model')

/** The stand-in needs no NPU, so that these tests can be tried without a board. */
function noNpu() {
  return !standIn && !npu.usable.value && `no NPU: ${npu.usable.reason}`
}

const where = standIn ? `stand-in ${runtime.version}, no board` : `${soc.value?.name}, runtime ${runtime.version}, driver ${npu.driverVersion.value}`

/** Prints what was found to a question of the list in README.md. */
export function finding(question, text) {
  console.log(`finding ${question} (${where}): ${text}`)
}

/** Runs `program`, a module's text, in a process that may die, and tells how it ended. */
export function inChild(program, { env = {}, timeoutMs = 120_000 } = {}) {
  const args = ['--input-type=module', '--eval', program]
  const child = spawn(process.execPath, args, { cwd: root, env: { ...process.env, ...env }, timeout: timeoutMs, killSignal: 'SIGKILL' })
  const output = { stdout: '', stderr: '' }
  for (const name of ['stdout', 'stderr']) {
    child[name].setEncoding('utf8')
    child[name].on('data', (text) => (output[name] = (output[name] + text).slice(-100_000)))
  }
  return new Promise((resolve, reject) => {
    child.on('error', reject)
    child.on('close', (code, signal) => resolve({ code, signal, ...output }))
  })
}

/** The first line of a text that holds one of `words`, for a finding of one line. */
export function firstLine(text, words = /./) {
  return text.split('\n').find((line) => words.test(line))?.trim() ?? 'nothing'
}

// Runs another program from the repository's root, and says which one failed.
import { spawn } from 'node:child_process'
import { constants } from 'node:os'
import { Failure } from './command.mjs'
import { inRepository } from './repository.mjs'

/** Its output goes to our stderr: stdout belongs to the answer. */
export async function run(program, args, options = {}) {
  const child = start(program, args, { ...options, stdio: ['ignore', process.stderr, process.stderr] })
  await succeeded(child, program, args)
}

/** Its input and output are ours, and so is its exit code. */
export async function runInPlace(program, args, options = {}) {
  const child = start(program, args, { ...options, stdio: 'inherit' })
  process.exitCode = await exitCode(child)
}

/** Its output is shown as it comes, and returned with the exit code: the caller judges. */
export async function runAndRead(program, args, options = {}) {
  const child = start(program, args, { ...options, stdio: ['ignore', 'pipe', 'pipe'] })
  let output = ''
  for (const stream of [child.stdout, child.stderr]) {
    stream.setEncoding('utf8').on('data', (text) => {
      output += text
      process.stderr.write(text)
    })
  }
  const code = await exitCode(child)
  return { output, exitCode: code }
}

/** What it wrote to stdout. Nothing is shown unless it fails. */
export async function read(program, args, options = {}) {
  const child = start(program, args, { ...options, stdio: ['ignore', 'pipe', 'pipe'] })
  const [stdout, stderr] = [[], []]
  child.stdout.on('data', (bytes) => stdout.push(bytes))
  child.stderr.on('data', (bytes) => stderr.push(bytes))
  await succeeded(child, program, args, () => Buffer.concat([...stdout, ...stderr]).toString())
  return Buffer.concat(stdout).toString()
}

function start(program, args, { env = {}, ...options }) {
  return spawn(program, args, { cwd: inRepository(), ...options, env: { ...process.env, ...env } })
}

async function succeeded(child, program, args, output = () => '') {
  const code = await exitCode(child)
  if (code === 0) return
  throw new Failure(`${[program, ...args].join(' ')} failed with exit code ${code}\n${output()}`.trimEnd())
}

/** 128 + the signal's number when a signal ended it, as shells have it. */
function exitCode(child) {
  return new Promise((resolve, reject) => {
    child.once('error', (error) => reject(new Failure(`cannot start ${child.spawnfile}: ${error.message}`)))
    child.once('close', (code, signal) => resolve(code ?? 128 + constants.signals[signal]))
  })
}

// npm start -- "question": the bundled model answers. stdout carries the answer and nothing else.
import { readFileSync } from 'node:fs'
import { pathToFileURL } from 'node:url'
import { buildToRun } from './build.mjs'
import { command, say } from './command.mjs'
import { inRepository } from './repository.mjs'
import { setup } from './setup.mjs'

const INTERRUPTED = 130

async function main(args) {
  await setup()
  await buildToRun()
  const question = args.join(' ') || 'What is the capital of France?'
  const stop = new AbortController()
  process.once('SIGINT', () => stop.abort(INTERRUPTED))
  // Nobody reads on, as behind `| head`: a reason to stop, not an error.
  process.stdout.on('error', () => stop.abort(0))
  try {
    await answer(question, stop.signal)
  } catch (error) {
    if (!stop.signal.aborted) process.exitCode = report(error)
  }
  if (stop.signal.aborted) process.exitCode = stop.signal.reason
}

async function answer(question, signal) {
  const { bundledModelPath, loadModel } = await import(pathToFileURL(inRepository('dist/index.mjs')))
  const model = await loadModel(bundledModelPath(), { signal })
  try {
    const messages = [{ role: 'user', content: question }]
    for await (const part of model.chat(messages, { temperature: 0, signal })) {
      if (part.type === 'text-delta') process.stdout.write(part.text)
    }
  } finally {
    process.stdout.write('\n')
    await model.close()
  }
}

function report(error) {
  if (error.code === undefined) throw error
  say(`${error.code}: ${error.message}`)
  return exitCode(error.code)
}

/** The exit codes stand in the one table of error codes: code, HTTP status, exit code, retryable. */
function exitCode(code) {
  const table = readFileSync(inRepository('crates/core/src/error_codes.txt'), 'utf8')
  const row = table.split('\n').find((line) => line.startsWith(`${code} `))
  return row ? Number(row.split(' ')[2]) : 1
}

await command(import.meta, main)

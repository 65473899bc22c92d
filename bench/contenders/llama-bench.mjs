import { execFile } from 'node:child_process'
import { promisify } from 'node:util'

export const name = 'llama-bench'

const program = process.env.LLAMA_BENCH

export async function find() {
  if (program === undefined) throw new Error('LLAMA_BENCH names no program')
  // It has no --version; its results name the commit.
  await promisify(execFile)(program, ['--help'])
  return 'llama.cpp\'s own, a process a round, its load not counted'
}

/** It knows one sequence of random tokens and no text. */
export async function start({ model, threads, sequences }) {
  if (sequences > 1) throw new Error('it has no requests at once')
  return { run: (request) => run(model, threads, request), close() {} }
}

async function run(model, threads, { prompts, maxTokens }) {
  // The made-up prompts have about a token a word.
  const promptTokens = prompts[0].split(' ').length
  const decoded = maxTokens - 1
  const prefillMs = await measure(model, threads, ['-p', promptTokens, '-n', 0])
  const decodeMs = decoded === 0 ? 0 : await measure(model, threads, ['-p', 0, '-n', decoded, '-d', promptTokens])
  return { promptTokens, completionTokens: maxTokens, firstTokenMs: [prefillMs], wallMs: prefillMs + decodeMs }
}

/** How long it takes for one measurement, in milliseconds. */
async function measure(model, threads, what) {
  const args = ['-m', model, '-t', threads, ...what, '-r', 1, '-fa', 1, '-o', 'json']
  const { stdout } = await promisify(execFile)(program, args.map(String))
  return JSON.parse(stdout)[0].avg_ns / 1e6
}

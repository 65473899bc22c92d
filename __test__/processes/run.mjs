// Runs the child programs of this folder and tells how they ended.
import { spawn, spawnSync } from 'node:child_process'
import { existsSync, mkdirSync, renameSync } from 'node:fs'
import { availableParallelism } from 'node:os'
import { fileURLToPath } from 'node:url'

const inRepository = (path) => fileURLToPath(new URL(`../../${path}`, import.meta.url))

/** The soak tests run at full length with `npm run test:soak`, in short with `npm test`. */
export const isFull = process.env.RKLLMJS_SOAK === 'full'

/** After this long a process counts as hanging. */
export const HANG_MS = 10_000

/**
 * Runs `processes/<program>.mjs`. `onLine` hears what it prints, line by line, and may end it. `node` is the
 * command that stands for Node, where it is not this one.
 *
 * `end` is how it ended, as text: 'exit 0', 'SIGSEGV' or 'hang'. `lingeredMs` is the time between
 * its last line and its end.
 */
export function run(program, args = [], options = {}) {
  const { limitMs = HANG_MS, node = [process.execPath], nodeOptions = [], onLine = () => {}, ...spawnOptions } = options
  const [command, ...before] = node
  const file = fileURLToPath(new URL(`${program}.mjs`, import.meta.url))
  const child = spawn(command, [...before, ...nodeOptions, file, ...args.map(String)], {
    stdio: ['ignore', 'pipe', 'pipe'],
    ...spawnOptions,
  })
  let stdout = ''
  let stderr = ''
  let lastLineAt = performance.now()
  let isHanging = false
  child.stderr.setEncoding('utf8').on('data', (text) => (stderr += text))
  child.stdout.setEncoding('utf8').on('data', (text) => {
    const lines = (stdout.slice(stdout.lastIndexOf('\n') + 1) + text).split('\n')
    stdout += text
    lastLineAt = performance.now()
    for (const line of lines.slice(0, -1)) onLine(line, child)
  })
  const limit = setTimeout(() => {
    isHanging = true
    child.kill('SIGKILL')
  }, limitMs)
  return new Promise((resolve, reject) => {
    child.on('error', reject)
    let endedAt = 0
    child.on('exit', () => (endedAt = performance.now()))
    child.on('close', (code, signal) => {
      clearTimeout(limit)
      const end = isHanging ? 'hang' : (signal ?? `exit ${code}`)
      resolve({ end, stdout, stderr, lingeredMs: endedAt - lastLineAt, pid: child.pid })
    })
  })
}

/**
 * Runs `once` many times, a few at a time; how often each end came. What ended otherwise than
 * `expected` is described in `strange`.
 */
export async function repeat(count, expected, once) {
  const ends = {}
  const strange = []
  let begun = 0
  const lane = async () => {
    while (begun < count) {
      begun += 1
      const { end, stdout, stderr, args } = await once()
      ends[end] = (ends[end] ?? 0) + 1
      if (end !== expected) strange.push({ end, args, stdout: stdout.slice(-500), stderr: stderr.slice(-2000) })
    }
  }
  await Promise.all(Array.from({ length: availableParallelism() }, lane))
  return { ends, strange }
}

/** A whole number from 0 to `most`. */
export const upTo = (most) => Math.floor(Math.random() * (most + 1))

/** A synthetic model with room for long prompts; made once. */
export function longContextModel() {
  const file = inRepository('.cache/tiny-8k.gguf')
  if (existsSync(file)) return file
  mkdirSync(inRepository('.cache'), { recursive: true })
  // Test files run side by side: none may see half a model.
  const unfinished = `${file}.${process.pid}`
  const program = ['run', '--release', '--quiet', '-p', 'rkllmjs-synthetic', '--']
  const model = ['tiny', unfinished, '--type', 'q8_0', '--context', '8192']
  const { status, stderr } = spawnSync(
    process.execPath,
    [inRepository('scripts/cargo.mjs'), ...program, ...model],
    { cwd: inRepository(''), encoding: 'utf8' },
  )
  if (status !== 0) throw new Error(`making the synthetic model failed:\n${stderr}`)
  renameSync(unfinished, file)
  return file
}

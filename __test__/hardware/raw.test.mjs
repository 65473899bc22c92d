// Questions 2, 4 to 7, 9 and 14, asked of the library past this package. Each in a process of its own, which may die.
import assert from 'node:assert/strict'
import { spawn, spawnSync } from 'node:child_process'
import { join } from 'node:path'
import { before, test } from 'node:test'

import { environment } from '../../scripts/platforms.mjs'
import { finding, firstLine, libraryPath, modelPath, noBoard, root } from './board.mjs'

const TIME_LIMIT_MS = 180_000
const hasCargo = spawnSync('cargo', ['--version']).status === 0
const skip = noBoard || (!hasCargo && 'there is no Rust to build the program with')

let program

before(() => {
  if (skip) return
  const example = ['build', '--release', '--quiet', '--package', 'rkllmjs-rkllm', '--example', 'board_questions']
  const built = spawnSync(process.execPath, ['scripts/cargo.mjs', ...example], { cwd: root, encoding: 'utf8' })
  assert.equal(built.status, 0, built.stderr)
  const { CARGO_TARGET_DIR, CARGO_BUILD_TARGET } = environment()
  program = join(CARGO_TARGET_DIR, CARGO_BUILD_TARGET, 'release', 'examples', 'board_questions')
})

/** What the program is asked, and the question of README.md. */
const QUESTIONS = {
  defaults: 2,
  threads: 4,
  abort: 4,
  pause: 4,
  'second-run': 4,
  'idle-abort': 5,
  'is-running': 6,
  limits: 7,
  'pause-with-history': 9,
  images: 14,
}

function ask(question) {
  const child = spawn(program, [question, libraryPath, modelPath], { timeout: TIME_LIMIT_MS, killSignal: 'SIGKILL' })
  let [stdout, stderr] = ['', '']
  child.stdout.setEncoding('utf8').on('data', (text) => (stdout += text))
  child.stderr.setEncoding('utf8').on('data', (text) => (stderr += text))
  return new Promise((resolve, reject) => {
    child.on('error', reject)
    child.on('close', (code, signal) => resolve({ code, signal, stdout, stderr }))
  })
}

for (const [question, number] of Object.entries(QUESTIONS)) {
  test(`${question} of the library`, { skip }, async () => {
    const { code, signal, stdout, stderr } = await ask(question)
    const found = stdout.split('\n').filter((line) => line.startsWith('FOUND '))
    for (const line of found) finding(number, `${question}: ${line.slice('FOUND '.length)}`)
    if (code !== 0) finding(number, `${question}: ended by ${signal ?? `status ${code}`}: ${firstLine(stderr)}`)
  })
}

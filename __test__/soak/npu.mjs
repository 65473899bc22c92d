// The engine for the NPU over a stand-in: thousands of answers that end in every way, under valgrind. The stand-in
// needs no model for it, and the program is one of Rust, so that valgrind has neither weights nor Node to follow.
import assert from 'node:assert/strict'
import { spawn, spawnSync } from 'node:child_process'
import path from 'node:path'
import { before, describe, test } from 'node:test'
import { fileURLToPath } from 'node:url'

import { standinLibrary } from 'rkllmjs/standin'
import { environment } from '../../scripts/platforms.mjs'
import { findProgram } from '../../scripts/setup/program.mjs'
import { isFull } from '../processes/run.mjs'

const root = fileURLToPath(new URL('../..', import.meta.url))
const { CARGO_TARGET_DIR, CARGO_BUILD_TARGET } = environment()
const program = path.join(CARGO_TARGET_DIR, CARGO_BUILD_TARGET, 'release/examples/soak')
const valgrind = findProgram('valgrind')

/** A hang is a way to fail; at full length a run takes minutes. */
const LIMIT_MS = isFull ? 9 * 60_000 : 60_000
const FOUND_BY_VALGRIND = 99
const VALGRIND = [
  // Threads take turns; else the one that computes starves those that wait.
  '--fair-sched=yes',
  '--quiet',
  '--leak-check=full',
  '--show-leak-kinds=definite,indirect',
  '--errors-for-leak-kinds=definite,indirect',
  `--error-exitcode=${FOUND_BY_VALGRIND}`,
]

/** What every soak of a manner must have had. */
const HASTY = ['cancelled', 'closed', 'dropped', 'opens']
const WAYS = { hasty: HASTY, any: [...HASTY, 'called', 'native', 'queued', 'read', 'stalled', 'waited'] }

/** At full length 5,000 runs, 10,000 over both interfaces. */
const PLANS = [
  { title: 'as they are', runs: isFull ? 3500 : 120, manner: 'any' },
  {
    title: 'with results that are gone at once',
    runs: isFull ? 1000 : 60,
    manner: 'any',
    trap: 'freed-results,waiting,null-finish,reserved-garbage,pause-forgets',
  },
  // Slower than the engine waits before it tells a runtime to abort.
  { title: 'so slow that they are aborted', runs: isFull ? 500 : 40, manner: 'hasty', trap: 'slow-token=25' },
]

/** Tests of one interface. Each has a file of its own, for the test runner gives a file ten minutes. */
export function soakRuntime(abi) {
  before(buildProgram)

  describe(`runs on a runtime of ${abi}${valgrind ? ' under valgrind' : ''}`, () => {
    for (const plan of PLANS) {
      test(`${plan.title}: nothing is lost, and every text is right`, (t) => assertSound(t, abi, plan))
    }
  })
}

/** A checker that finds nothing may not be looking. */
export function soakChecker() {
  before(buildProgram)

  const skip = valgrind ? false : 'valgrind is not installed; npm run test:soak does'
  test('valgrind finds what is lost on purpose', { skip }, async () => {
    const { code, stderr } = await soak('1.3', { runs: 5, manner: 'leaky' })
    assert.equal(code, FOUND_BY_VALGRIND)
    assert.match(stderr, /definitely lost/)
  })
}

function buildProgram() {
  const build = ['scripts/cargo.mjs', 'build', '--release', '--quiet', '-p', 'rkllmjs-rkllm-standin', '--example', 'soak']
  const { status, stderr } = spawnSync(process.execPath, build, { cwd: root, encoding: 'utf8' })
  assert.equal(status, 0, stderr)
}

async function assertSound(t, abi, plan) {
  const began = performance.now()
  const { code, signal, stdout, stderr } = await soak(abi, plan)
  assert.deepEqual({ code, signal }, { code: 0, signal: null }, `${stdout.slice(-500)}${stderr.slice(-8000)}`)
  const counts = JSON.parse(stdout.trimEnd().split('\n').at(-1))
  t.diagnostic(`${JSON.stringify(counts)} in ${Math.round((performance.now() - began) / 1000)} s`)
  assert.equal(counts.runs, plan.runs)
  for (const way of WAYS[plan.manner]) assert.ok(counts[way] > 0, `no run was ${way}`)
}

/** Runs the program; how it ended and what it said. */
function soak(abi, { runs, manner, trap = '' }) {
  const seed = Math.floor(Math.random() * 2 ** 32)
  const args = [program, standinLibrary(abi), String(runs), String(seed), manner]
  const [command, ...rest] = valgrind ? [valgrind, ...VALGRIND, ...args] : args
  const child = spawn(command, rest, {
    cwd: root,
    env: { ...process.env, RKLLMJS_STANDIN_TRAP: trap },
    stdio: ['ignore', 'pipe', 'pipe'],
    timeout: LIMIT_MS,
    killSignal: 'SIGKILL',
  })
  const [stdout, stderr] = [child.stdout, child.stderr].map((stream) => {
    const text = []
    stream.setEncoding('utf8').on('data', (piece) => text.push(piece))
    return text
  })
  return new Promise((resolve, reject) => {
    child.on('error', reject)
    child.on('close', (code, signal) => resolve({ code, signal, stdout: stdout.join(''), stderr: stderr.join('') }))
  })
}

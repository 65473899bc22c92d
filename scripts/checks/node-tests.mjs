// The tests of the published surface: __test__/**/*.test.mjs.
import { existsSync, mkdtempSync, readFileSync, readdirSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { Failure } from '../command.mjs'
import { inRepository } from '../repository.mjs'
import { runAndRead } from '../run.mjs'
import { nodeTally } from './tally.mjs'

const TIME_LIMIT_MS = 10 * 60 * 1000

/** The test files below `__test__/<folder>`, without those below the folders named in `except`. */
export function testFiles(folder = '', except = []) {
  const top = inRepository('__test__', folder)
  if (!existsSync(top)) return []
  return readdirSync(top, { recursive: true, encoding: 'utf8' })
    .filter((file) => file.endsWith('.test.mjs') && !except.includes(file.split(path.sep)[0]))
    .map((file) => path.join('__test__', folder, file))
    .sort()
}

/** Runs test files, shows their report and returns their tally. */
export async function testNode(files, env = {}) {
  if (files.length === 0) throw new Failure('no test files found')
  const folder = mkdtempSync(path.join(tmpdir(), 'rkllmjs-test-'))
  try {
    const tap = path.join(folder, 'report.tap')
    const { exitCode } = await runAndRead(process.execPath, nodeArguments(tap, files), { env })
    return { ...nodeTally(readFileSync(tap, 'utf8')), ok: exitCode === 0 }
  } finally {
    rmSync(folder, { recursive: true })
  }
}

function nodeArguments(tap, files) {
  const reporters = ['--test-reporter=spec', '--test-reporter-destination=stdout', '--test-reporter=tap', `--test-reporter-destination=${tap}`]
  return ['--test', `--test-timeout=${TIME_LIMIT_MS}`, ...reporters, ...files]
}

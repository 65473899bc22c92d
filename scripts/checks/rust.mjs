// The checks that cargo runs. All of them build for release, so that llama.cpp is compiled once.
import { environment } from '../platforms.mjs'
import { run, runAndRead } from '../run.mjs'
import { cargoTally } from './tally.mjs'

export async function checkFormat() {
  await run('cargo', ['fmt', '--all', '--check'])
}

export async function checkClippy() {
  const args = ['clippy', '--release', '--workspace', '--all-targets', '--', '--deny', 'warnings']
  await run('cargo', args, { env: environment() })
}

export async function testRust() {
  const args = ['test', '--release', '--workspace', '--no-fail-fast']
  const { exitCode, output } = await runAndRead('cargo', args, { env: environment() })
  return { ...cargoTally(output), ok: exitCode === 0 }
}

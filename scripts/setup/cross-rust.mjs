// Rust's standard library for another platform, and the compiler it belongs to.
import { execFileSync } from 'node:child_process'
import { readFileSync, readdirSync } from 'node:fs'
import { Failure, say } from '../command.mjs'
import { inRepository } from '../repository.mjs'
import { findProgram, isExecutable } from './program.mjs'

/** Where distributions put theirs, which a rustup earlier in PATH hides. */
const SYSTEM_RUSTC = '/usr/bin/rustc'

/** The compiler that has the standard library of a platform: the user's own first. */
export function findCrossRust(triple) {
  return [findProgram('rustc'), SYSTEM_RUSTC].find((rustc) => rustc && isExecutable(rustc) && hasLibrary(rustc, triple))
}

/** Fails when the compiler is older than the workspace asks for. */
export function checkCrossRust(triple) {
  const rustc = findCrossRust(triple)
  const version = execFileSync(rustc, ['--version'], { encoding: 'utf8' }).trim()
  if (!isRecent(version.split(' ')[1])) throw new Failure(`${rustc} is ${version}; rkllmjs needs Rust ${oldestRust()} or newer`)
  say(`${triple}: ${version}`)
}

/** Whether a version such as `1.96.0` or `1.96.0+dfsg1` is new enough for the workspace. */
export function isRecent(version) {
  const [major, minor] = version.split('.').map(Number)
  const [oldestMajor, oldestMinor] = oldestRust().split('.').map(Number)
  return major > oldestMajor || (major === oldestMajor && minor >= oldestMinor)
}

/** The `rust-version` of the workspace. */
export function oldestRust() {
  return readFileSync(inRepository('Cargo.toml'), 'utf8').match(/^rust-version = "(.+)"$/m)[1]
}

function hasLibrary(rustc, triple) {
  try {
    const options = { encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] }
    const folder = execFileSync(rustc, ['--print', 'target-libdir', '--target', triple], options).trim()
    return readdirSync(folder).some((file) => file.startsWith('libstd-'))
  } catch {
    return false
  }
}

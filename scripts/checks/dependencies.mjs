// What we depend on: licences, sources, and who may use what (deny.toml).
import { say } from '../command.mjs'
import { run } from '../run.mjs'
import { rust } from '../setup/rust.mjs'
import { findProgram } from '../setup/program.mjs'

export function canCheckDependencies() {
  rust()
  return findProgram('cargo-deny') !== undefined
}

export async function installDependencyCheck() {
  if (canCheckDependencies()) return
  say('cargo install cargo-deny (once, some minutes)')
  await run('cargo', ['install', 'cargo-deny', '--locked'])
}

export async function checkDependencies() {
  await run('cargo', ['deny', 'check', '--hide-inclusion-graph', 'bans', 'licenses', 'sources'])
}

// Rust itself is the user's to install: its home and its version are a choice.
import { homedir } from 'node:os'
import path from 'node:path'
import { Failure } from '../command.mjs'
import { findProgram, isExecutable } from './program.mjs'

/** Finds cargo, also right after rustup when this shell has not read its profile yet. */
export function rust() {
  if (findProgram('cargo')) return
  const folder = path.join(process.env.CARGO_HOME ?? path.join(homedir(), '.cargo'), 'bin')
  if (isExecutable(path.join(folder, 'cargo'))) {
    process.env.PATH = `${folder}${path.delimiter}${process.env.PATH}`
    return
  }
  throw new Failure(
    "Rust is missing; please run this and try again:\n\n    curl --proto '=https' --tlsv1.2 -sSf https://sh.rustup.rs | sh -s -- -y\n",
  )
}

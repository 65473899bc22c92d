// valgrind, which checks memory in the soak tests.
import { Failure } from '../command.mjs'
import { aptInstall, aptUpdate } from './apt.mjs'
import { findProgram } from './program.mjs'

/** Installs it where it is missing, or says exactly how to. */
export async function bringValgrind() {
  if (findProgram('valgrind')) return
  if (!findProgram('apt-get')) throw new Failure('valgrind is missing: please install it and try again')
  if (process.getuid() !== 0) {
    throw new Failure('not root, so please run this and try again:\n\n    sudo apt-get install -y valgrind\n')
  }
  await aptUpdate()
  await aptInstall(['valgrind'])
  if (!findProgram('valgrind')) throw new Failure('still missing after the installation: valgrind')
}

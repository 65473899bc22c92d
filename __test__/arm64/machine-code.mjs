// What a cross-built file asks of the machine it runs on.
import { execFile } from 'node:child_process'
import { promisify } from 'node:util'

import { ARM64 } from '../../scripts/arm64/platform.mjs'

const execute = promisify(execFile)
const objdump = `${ARM64.tools}-objdump`

/** How many dot product instructions it has. */
export async function dotProducts(file) {
  const count = `${objdump} --disassemble "$0" | grep --count --word-regexp sdot`
  const { stdout } = await execute('/bin/sh', ['-c', count, file])
  return Number(stdout)
}

/** The newest glibc that one of its symbols asks for: n of 2.n. */
export async function newestGlibc(file) {
  const { stdout } = await execute(objdump, ['--dynamic-syms', file], { maxBuffer: 1 << 26 })
  return Math.max(...Array.from(stdout.matchAll(/GLIBC_2\.(\d+)/g), ([, minor]) => Number(minor)))
}

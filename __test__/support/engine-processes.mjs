// The processes that hold engines for other processes.
import { readFileSync, readdirSync } from 'node:fs'

/** The numbers of the engine processes that `parent` has started, this process by default. */
export function engineProcesses(parent = process.pid) {
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .map(Number)
    .filter((number) => {
      const status = read(`/proc/${number}/status`)
      const isChild = status.includes(`\nPPid:\t${parent}\n`) && !/\nState:\tZ/.test(status)
      return isChild && read(`/proc/${number}/cmdline`).includes('engine-process.js')
    })
}

function read(path) {
  try {
    return readFileSync(path, 'utf8')
  } catch {
    return ''
  }
}

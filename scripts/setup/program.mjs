// Finds programs the way a shell does, without starting one.
import { accessSync, constants } from 'node:fs'
import path from 'node:path'

/** The full path of a program on PATH, or undefined. */
export function findProgram(name) {
  return (process.env.PATH ?? '')
    .split(path.delimiter)
    .map((folder) => path.join(folder, name))
    .find(isExecutable)
}

export function isExecutable(file) {
  try {
    accessSync(file, constants.X_OK)
    return true
  } catch {
    return false
  }
}

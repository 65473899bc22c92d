// Whether something built is still what its sources would give. A stamp remembers when the last successful
// build began and under which settings: a file changed while the compiler ran counts as newer than the build.
import { mkdirSync, readFileSync, readdirSync, rmSync, statSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import { inRepository } from '../repository.mjs'

const NOT_IN_THE_ADDON = new Set(['tests', 'benches', 'examples'])

/** What the stamp `name` says still holds: same settings, every output there, no source newer. */
export function isFresh(name, { settings, sources, outputs }) {
  const stamp = readStamp(name)
  if (!stamp || stamp.settings !== JSON.stringify(settings)) return false
  if (!outputs.every((file) => modified(inRepository(file)) !== undefined)) return false
  return sources.every((source) => newest(inRepository(source)) <= stamp.startedAt)
}

/** Forgets the last build: whatever happens next, its outputs do not pass for fresh. */
export function forget(name) {
  rmSync(stampFile(name), { force: true })
}

export function remember(name, settings, startedAt) {
  mkdirSync(inRepository('.cache'), { recursive: true })
  writeFileSync(stampFile(name), JSON.stringify({ startedAt, settings: JSON.stringify(settings) }))
}

/** When a file was last written, in milliseconds; undefined when there is none. */
export function modified(file) {
  return statSync(file, { throwIfNoEntry: false })?.mtimeMs
}

/** The newest change at or below a path. A folder's own time tells of files that left. */
function newest(file) {
  const stats = statSync(file, { throwIfNoEntry: false })
  if (!stats) return Infinity
  if (!stats.isDirectory()) return stats.mtimeMs
  const inside = readdirSync(file).filter((name) => !NOT_IN_THE_ADDON.has(name))
  return Math.max(stats.mtimeMs, ...inside.map((name) => newest(path.join(file, name))))
}

function readStamp(name) {
  try {
    return JSON.parse(readFileSync(stampFile(name), 'utf8'))
  } catch {
    return undefined
  }
}

function stampFile(name) {
  return inRepository('.cache', `${name}.json`)
}

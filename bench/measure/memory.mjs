import { readFileSync } from 'node:fs'

/** Memory of a process, by its number: all that is resident, and the part of it that no file is behind. */
export function memoryOf(pid) {
  const status = readFileSync(`/proc/${pid}/status`, 'utf8')
  const bytes = (name) => Number(new RegExp(`${name}:\\s+(\\d+)`).exec(status)?.[1] ?? 0) * 1024
  return { residentBytes: bytes('VmRSS'), anonymousBytes: bytes('RssAnon') }
}

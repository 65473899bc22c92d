import { fileURLToPath } from 'node:url'

import { describeValue } from './describe-value.js'
import { invalidRequest } from './error.js'

/** A path, or the `file:` URL of one. */
export type FilePath = string | URL

/** The path behind `value`, which callers without types may have got wrong; `name` is what they call it. */
export function toPath(value: unknown, name = 'path'): string {
  if (typeof value === 'string' && value !== '') return value
  const details = { option: name }
  if (value === '') throw invalidRequest(`${name} must not be empty`, details)
  if (!(value instanceof URL)) {
    throw invalidRequest(`${name} must be a string or a file: URL, got ${describeValue(value)}`, details)
  }
  if (value.protocol !== 'file:') throw invalidRequest(`${name} must be a file: URL, got ${value.protocol}`, details)
  try {
    return fileURLToPath(value)
  } catch (error) {
    throw invalidRequest(`${name} is a file: URL without a local path: ${String(error)}`, details)
  }
}

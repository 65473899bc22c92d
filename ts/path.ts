import { fileURLToPath } from 'node:url'

import { describeValue } from './describe-value.js'
import { invalidRequest } from './error.js'

/** A path, or the `file:` URL of one. */
export type FilePath = string | URL

/** The path behind `value`, which callers without types may have got wrong. */
export function toPath(value: unknown): string {
  if (typeof value === 'string' && value !== '') return value
  if (value === '') throw invalidRequest('path must not be empty')
  if (!(value instanceof URL)) {
    throw invalidRequest(`path must be a string or a file: URL, got ${describeValue(value)}`)
  }
  if (value.protocol !== 'file:') throw invalidRequest(`path must be a file: URL, got ${value.protocol}`)
  try {
    return fileURLToPath(value)
  } catch (error) {
    throw invalidRequest(`path is a file: URL without a local path: ${String(error)}`)
  }
}

import { types } from 'node:util'

import { describeExactly, describeValue } from './describe-value.js'
import { invalidRequest } from './error.js'

const TOKEN_MAX = 2 ** 32 - 1

/** Tokens as the addon takes them; `name` is what the caller knows them by. */
export function toTokens(name: string, value: unknown): Uint32Array {
  if (types.isUint32Array(value)) return value
  if (!Array.isArray(value)) {
    throw invalidRequest(`${name} must be a Uint32Array or an array of token numbers, got ${describeValue(value)}`)
  }
  // Checked here, because a typed array silently turns -1 into 4294967295.
  const wrong = value.findIndex((token) => !Number.isInteger(token) || token < 0 || token > TOKEN_MAX)
  if (wrong !== -1) {
    throw invalidRequest(`${name}[${wrong}] is ${describeExactly(value[wrong])}, which is no token number`)
  }
  return Uint32Array.from(value as number[])
}

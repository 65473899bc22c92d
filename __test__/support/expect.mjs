import assert from 'node:assert/strict'
import { setTimeout as delay } from 'node:timers/promises'
import { RkllmError } from 'rkllmjs'

/** For `assert.throws` and `assert.rejects`: an RkllmError with this code, and a message that matches. */
export const isError = (code, message) => (error) => {
  assert.ok(RkllmError.is(error), `${error?.stack ?? error} is no RkllmError`)
  assert.equal(error.code, code, error.message)
  if (message !== undefined) assert.match(error.message, message)
  return true
}

/** Resolves when `condition` holds; fails if that takes longer than `mostMs`. */
export async function until(condition, what = String(condition), mostMs = 20_000) {
  const deadline = performance.now() + mostMs
  while (!condition()) {
    assert.ok(performance.now() < deadline, `after ${mostMs} ms still not: ${what}`)
    await delay(2)
  }
}

/** Everything a generation's loop gives. */
export async function partsOf(generation) {
  const parts = []
  for await (const part of generation) parts.push(part)
  return parts
}

export const textOf = (parts) => parts.map((part) => part.text ?? '').join('')

export const user = (content) => ({ role: 'user', content })

// Messages with images and sound, and what a model says of them.
import assert from 'node:assert/strict'
import { user } from './expect.mjs'

export const GREEDY = { temperature: 0, maxTokens: 8 }
export const WITH_LOGPROBS = { ...GREEDY, logprobs: true, topLogprobs: 2 }

const text = (string) => ({ type: 'text', text: string })

/** A conversation of one message; strings stand for text. */
export const asking = (...parts) => [user(parts.map((part) => (typeof part === 'string' ? text(part) : part)))]

/** What `chat` says: its text, its usage, and of each token how likely it and the next best were. */
export async function ask(model, messages, options = WITH_LOGPROBS) {
  const { text: said, usage, choices } = await model.chat(messages, options)
  return { said, usage, logprobs: choices[0].logprobs }
}

/** Equal, but for what comes after a tie that is too near to call. */
export function assertSame(found, expected, what) {
  for (const [i, token] of expected.logprobs.entries()) {
    const other = found.logprobs[i]
    const isTie = token.top[0].logprob - token.top[1].logprob < 0.05
    if (isTie && other.token !== token.token) return
    assert.equal(other.token, token.token, what)
    assert.ok(Math.abs(other.logprob - token.logprob) < 0.05, `${what}: ${other.logprob} and ${token.logprob}`)
  }
}

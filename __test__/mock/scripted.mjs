/** A model that says what a test has written down, over the addon that the test plays. */
import { LlamaModel } from '../../dist/llama-model.js'
import { MockModel } from './native.mjs'

/**
 * Answers with each of `answers` in turn: text, or `{ text, calls, finishReason, error }` with calls as
 * {@link call} makes them. Without one left, a generation stays open for the test to end.
 */
export function scripted(...answers) {
  const native = new MockModel()
  const begin = native.chat.bind(native)
  native.chat = (...asked) => {
    const generation = begin(...asked)
    const answer = answers.shift()
    if (answer !== undefined) setImmediate(() => say(generation, answer))
    return generation
  }
  return { native, model: new LlamaModel(native) }
}

/** A call of a tool. */
export const call = (id, name, given = {}) => ({ id, name, arguments: JSON.stringify(given) })

/** The same with a context of so many tokens, where every message takes one. */
export function scriptedWithin(contextSize, ...answers) {
  const { native } = scripted(...answers)
  const info = JSON.parse(native.info())
  native.info = () => JSON.stringify({ ...info, contextSize })
  return { native, model: new LlamaModel(native) }
}

function say(generation, answer) {
  const { text = '', calls, finishReason = calls ? 'tool-calls' : 'stop', error } = typeof answer === 'string' ? { text: answer } : answer
  if (text !== '') generation.write(text)
  generation.end({ finishReason, calls, error })
}

// The bundled model's held-out prompts, as chat() takes them and as its evaluation judged the answers.
import { readFileSync } from 'node:fs'
import path from 'node:path'
import { bundledModelPath } from 'rkllmjs'

const folder = path.dirname(bundledModelPath())

/** The items of heldout.jsonl: `id`, `skill`, `prompt`, `expected`, and the `conversation` behind the prompt. */
export const heldout = readFileSync(path.join(folder, 'heldout.jsonl'), 'utf8')
  .trim()
  .split('\n')
  .map((line) => JSON.parse(line))
  .map((item) => ({ ...item, conversation: conversation(item) }))

/** Right answers of each skill, as the evaluation of the shipped file counted them: `{ right, of }`. */
export const evaluated = JSON.parse(readFileSync(path.join(folder, 'eval.json'), 'utf8')).q8_0.skills

export function isRight({ skill, expected, conversation: messages }, text) {
  return skill === 'story' ? isStory(messages.at(-1).content, text) : text === expected
}

/** A story has no one right text: it is about the animal asked for, names its hero twice and ends. */
function isStory(request, text) {
  const animal = /story about an? (\S+?)\.?$/.exec(request)[1]
  const sentences = text.match(/[^.]+\./g) ?? []
  const hero = new RegExp(`Once there was a \\w+ ${animal} named ([A-Z]\\w*)\\.$`).exec(sentences[0])?.[1]
  return hero !== undefined && sentences.length >= 3 && sentences.length <= 7 && text.endsWith('.') && text.split(hero).length > 2
}

/** Tools are declared in the system message, where the model's template would write them. */
function conversation({ messages, tools }) {
  const camel = messages.map(({ tool_calls: toolCalls, ...message }) => (toolCalls ? { ...message, toolCalls } : message))
  if (tools.length === 0) return camel
  const declared = `<tools>${tools.map(declaration).join('')}\n</tools>`
  const [first, ...rest] = camel
  if (first.role === 'system') return [{ role: 'system', content: `${first.content}\n${declared}` }, ...rest]
  return [{ role: 'system', content: declared }, ...camel]
}

function declaration({ function: { name, parameters } }) {
  const types = Object.entries(parameters.properties).map(
    ([key, { type }]) => `"${key}": "${type === 'number' ? 'number' : 'string'}"`,
  )
  return `\n{"name": "${name}", "parameters": {${types.join(', ')}}}`
}

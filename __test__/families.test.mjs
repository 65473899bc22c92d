// Prompts in the style of public model families, against what Python's jinja2 makes of the same templates
// (crates/chat/tests/families/README.md).
import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { after, before, describe, test } from 'node:test'

import { bundledModelPath, loadModel } from '../dist/index.mjs'
import { isError } from './support/expect.mjs'

const place = new URL('../crates/chat/tests/families/', import.meta.url)
const read = (name) => readFileSync(new URL(name, place), 'utf8')
const { tools, cases, families } = JSON.parse(read('cases.json'))
const goldens = JSON.parse(read('goldens.json'))

/** A message of OpenAI's as the package takes it. */
function toMessage({ tool_calls: toolCalls, tool_call_id: toolCallId, reasoning_content: reasoning, ...message }) {
  return { ...message, toolCalls, toolCallId, reasoning }
}

function promptOf(model, { messages, tools: offered, addGenerationPrompt, reasoning }, templateArgs) {
  const options = { addGenerationPrompt, reasoning, tools: offered ? tools : undefined, templateArgs }
  return model.applyChatTemplate(messages.map(toMessage), options)
}

for (const [family, expected] of Object.entries(goldens)) {
  describe(`a template in the style of ${family}`, () => {
    let model
    before(async () => {
      model = await loadModel(bundledModelPath(), { contextSize: 256, chatTemplate: read(`templates/${family}.jinja`) })
    })
    after(() => model.close())

    // What llama.cpp writes another way on purpose.
    const instead = Object.entries(families[family].instead ?? {})
    for (const [name, golden] of Object.entries(expected)) {
      const prompt = () => promptOf(model, cases[name], families[family].args)
      if (typeof golden === 'string') {
        test(`renders ${name} as the reference does`, () => {
          assert.equal(prompt(), instead.reduce((text, [theirs, ours]) => text.replace(theirs, ours), golden))
        })
      } else {
        test(`refuses ${name} in its own words, as the reference does`, () => {
          assert.throws(prompt, (error) => {
            isError('invalid-request')(error)
            assert.ok(error.message.includes(golden.refused), error.message)
            return true
          })
        })
      }
    }
  })
}

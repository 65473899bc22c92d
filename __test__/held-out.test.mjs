// The bundled model's held-out prompts through the public API: as many right answers as its README says, skill by
// skill. One may differ: another build or processor rounds differently.
import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import path from 'node:path'
import { after, before, test } from 'node:test'
import { isDeepStrictEqual } from 'node:util'
import { ChatSession, bundledModelPath } from 'rkllmjs'
import { heldout } from './support/heldout.mjs'
import { openTiny } from './support/models.mjs'

const GREEDY = { temperature: 0 }
const readme = readFileSync(path.join(path.dirname(bundledModelPath()), 'README.md'), 'utf8')

let model
before(async () => (model = await openTiny()))
after(() => model.close())

/** Right answers of a skill, out of so many, by the first column of the README's table. */
function figure(skill) {
  const row = readme.match(new RegExp(`^\\| ${skill} \\| (\\d+)/(\\d+) \\|`, 'm'))
  return { right: Number(row[1]), of: Number(row[2]) }
}

/** One at a time: in a batch, answers may part where two tokens are nearly tied. */
async function score(skill, isRight) {
  const items = heldout.filter((item) => item.skill === skill)
  const wrong = []
  for (const item of items) if (!(await isRight(item))) wrong.push(item.id)
  return { of: items.length, right: items.length - wrong.length, wrong }
}

function scores(skill, how, isRight) {
  test(`${skill} is answered as its README says ${how}`, async (t) => {
    const { right, of, wrong } = await score(skill, isRight)
    const expected = figure(skill)
    t.diagnostic(`${right} of ${of} right; its README says ${expected.right}; wrong: ${wrong.join(', ')}`)
    assert.equal(of, expected.of)
    assert.ok(Math.abs(right - expected.right) <= 1, `${right} of ${of} right, its README says ${expected.right}: ${wrong.join(', ')}`)
  })
}

/** The request as an application would make it: tools are tools, and no text in the message of the system. */
const toMessages = ({ messages }) => messages.map(({ tool_calls: toolCalls, ...message }) => (toolCalls ? { ...message, toolCalls } : message))

/** The calls in an expected answer. */
const expectedCalls = ({ expected }) =>
  Array.from(expected.matchAll(/<tool_call>\n(.*?)\n<\/tool_call>/g), ([, text]) => JSON.parse(text))

scores('tool_call', 'by chat() with tools', async (item) => {
  const { message } = await model.chat(toMessages(item), { ...GREEDY, tools: item.tools, maxTokens: 330 })
  const calls = (message.toolCalls ?? []).map((call) => ({ name: call.function.name, arguments: JSON.parse(call.function.arguments) }))
  return isDeepStrictEqual(calls, expectedCalls(item))
})

scores('tool_answer', 'by chat() with tools', async (item) => {
  const { text } = await model.chat(toMessages(item), { ...GREEDY, tools: item.tools, maxTokens: 330 })
  return text === item.expected
})

scores('recall', 'by a session', async (item) => {
  const messages = toMessages(item)
  const session = new ChatSession(model, { messages: messages.slice(0, -1), ...GREEDY, maxTokens: 330 })
  return (await session.send(messages.at(-1))).text === item.expected
})

scores('json', 'by chat()', async (item) => {
  const { text } = await model.chat(toMessages(item), { ...GREEDY, maxTokens: 330 })
  return text === item.expected
})

scores('json', 'by generateObject()', async (item) => {
  const expected = JSON.parse(item.expected)
  const { object } = await model.generateObject(toMessages(item), { schema: schemaOf(expected), ...GREEDY, maxTokens: 330 })
  return isDeepStrictEqual(object, expected)
})

/** Names and places are text, ages whole numbers. */
function schemaOf(expected) {
  const properties = Object.entries(expected).map(([name, value]) => [name, { type: typeof value === 'number' ? 'integer' : 'string' }])
  return { type: 'object', properties: Object.fromEntries(properties), required: Object.keys(expected), additionalProperties: false }
}

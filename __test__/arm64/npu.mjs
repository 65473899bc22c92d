/**
 * What a model says and does on the stand-in for the NPU's runtime, as one line of JSON, so that the same program on
 * two machines can be compared. The argument is the runtime's interface.
 */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

import { loadModel } from '../../dist/index.mjs'
import { standinLibrary, standinModelPath } from '../../dist/standin.mjs'
import { heldout } from '../support/heldout.mjs'
import { pirateLoraPath } from '../support/models.mjs'
import { wrapAdapter } from '../support/npu-files.mjs'

const [abi] = process.argv.slice(2)

// answers.mjs shows that these are far from near ties.
const QUESTIONS = ['What is the capital of France?', 'My name is Alice. What is my name?', 'Count to five']
const BEGINNINGS = ['1, 2, 3, 4,', 'a b c d']
const TEXTS = ['The capital of France is Paris.', 'A spider has 8 legs.']
const user = (content) => [{ role: 'user', content }]

const folder = mkdtempSync(join(tmpdir(), 'rkllmjs-npu-'))
const model = await loadModel(standinModelPath(), {
  libraryPath: standinLibrary(abi),
  contextSize: 512,
  // An emulated program cannot start another: the system knows no arm64.
  isolate: false,
  // One processor: several emulated ones wait for each other.
  cpuMask: 1,
  // 1.2 takes these only here.
  temperature: 0,
  topK: 1,
  repeatPenalty: 1,
})

const plain = ({ text, finishReason, usage }) => ({ text, finishReason, usage })

async function answers() {
  const all = []
  for (const question of QUESTIONS) all.push(plain(await model.chat(user(question), { maxTokens: 32 })))
  for (const beginning of BEGINNINGS) all.push(plain(await model.generate(beginning, { maxTokens: 16 })))
  return all
}

async function streamed() {
  let text = ''
  for await (const part of model.chat(user(QUESTIONS[0]))) if (part.type === 'text-delta') text += part.text
  return text
}

async function aborted() {
  const controller = new AbortController()
  const generation = model.generate('Once', { maxTokens: 200, signal: controller.signal })
  const reason = new Error('the reader left')
  try {
    for await (const part of generation) if (part.type === 'text-delta') controller.abort(reason)
  } catch (error) {
    return { rejectsWithTheReason: error === reason, hasPartialText: generation.partialText.length > 0 }
  }
  return 'it ended by itself'
}

/** The cache of a prompt, saved, loaded into an empty cache and used. */
async function promptCache() {
  const file = join(folder, 'prompt.cache')
  const prompt = model.tokenize(BEGINNINGS[0], { addSpecial: true })
  const before = await model.generate(prompt, { maxTokens: 8, promptCache: { save: file } })
  await model.clearCache()
  await model.loadPromptCache(file)
  const after = await model.generate(prompt, { maxTokens: 8 })
  await model.releasePromptCache()
  return [before.text, after.text]
}

/** A call of a tool, and the answer that follows from what the tool says. */
async function toolCalls() {
  const { tools } = heldout.find(({ id }) => id === 'tool_call-4')
  const messages = user('How is the weather in Steanox?')
  const { message, finishReason } = await model.chat(messages, { tools })
  const [call] = message.toolCalls
  const result = '{"temperature":23,"condition":"windy","unit":"C"}'
  const { text } = await model.chat([...messages, message, { role: 'tool', toolCallId: call.id, content: result }], { tools })
  return { finishReason, called: call.function, text }
}

/** The answer without an adapter, with one, and without it again. */
async function adapters() {
  await model.loadLora(wrapAdapter(pirateLoraPath(), join(folder, 'pirate.rkllm')), { name: 'pirate' })
  const texts = []
  for (const lora of [undefined, 'pirate', undefined]) texts.push((await model.chat(user(QUESTIONS[0]), { lora })).text)
  return texts
}

const { standIn, version, detectedBy } = model.runtimeInfo()
const report = {
  arch: process.arch,
  runtime: { standIn, version, detectedBy },
  answers: await answers(),
  streamed: await streamed(),
  aborted: await aborted(),
  promptCache: await promptCache(),
  toolCalls: await toolCalls(),
  adapters: await adapters(),
  ranking: (await model.rerank(QUESTIONS[0], TEXTS)).results,
  embeddings: (await model.embed(TEXTS)).embeddings.map((vector) => [...vector]),
}
await model.close()
rmSync(folder, { recursive: true })
process.stdout.write(`${JSON.stringify(report)}\n`)

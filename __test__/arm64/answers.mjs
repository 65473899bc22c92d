/**
 * What a model says and does, as one JSON document, so that the same program on two machines can be compared.
 */
import { bundledModelPath, loadModel } from '../../dist/index.mjs'

// At each of their tokens the best is well ahead of the next: kernels differ in the last bits, and must not matter.
const QUESTIONS = [
  'What is the capital of France?',
  'What is the capital of Japan?',
  'How many legs does a spider have?',
  'What is the opposite of hot?',
  'My name is Alice. What is my name?',
  'Count to five',
]
const BEGINNINGS = ['1, 2, 3, 4,', 'a b c d']
const TEXTS = ['The capital of France is Paris.', 'A spider has 8 legs.']

const GREEDY = { temperature: 0, maxTokens: 32, logprobs: true, topLogprobs: 2 }

// One thread: several wait for each other at every step, which takes ten times as long where an emulated one has no
// processor to itself. The programs of ../processes run with as many as usual.
const model = await loadModel(bundledModelPath(), { threads: 1, threadsBatch: 1 })
const user = (content) => [{ role: 'user', content }]

/** How far apart the two best tokens were where they were nearest. */
const narrowest = ({ logprobs }) => Math.min(...logprobs.map(({ top: [best, next] }) => best.logprob - next.logprob))

async function answers() {
  const all = []
  for (const question of QUESTIONS) all.push([question, await model.chat(user(question), GREEDY)])
  for (const beginning of BEGINNINGS) all.push([beginning, await model.generate(beginning, GREEDY)])
  return all.map(([prompt, result]) => ({
    prompt,
    text: result.text,
    finishReason: result.finishReason,
    usage: result.usage,
    narrowest: narrowest(result),
  }))
}

async function streamed() {
  const parts = []
  for await (const part of model.chat(user(QUESTIONS[0]), { temperature: 0 })) parts.push(part)
  return {
    text: parts.map((part) => part.text ?? '').join(''),
    types: [...new Set(parts.map(({ type }) => type))],
  }
}

async function aborted() {
  const controller = new AbortController()
  const generation = model.generate('Once', { ignoreEos: true, signal: controller.signal })
  const reason = new Error('the reader left')
  try {
    for await (const part of generation) if (part.text) controller.abort(reason)
  } catch (error) {
    return { rejectsWithTheReason: error === reason, hasPartialText: generation.partialText.length > 0 }
  }
  return 'it ended by itself'
}

async function sampled() {
  const options = { seed: 7, temperature: 1, maxTokens: 24, ignoreEos: true }
  const [once, again] = [await model.generate('Once', options), await model.generate('Once', options)]
  return { sameForTheSameSeed: once.text === again.text, tokens: once.tokens.length }
}

async function closed() {
  const running = model.generate('Once', { ignoreEos: true })
  await running[Symbol.asyncIterator]().next()
  await model.close()
  const { finishReason } = await running
  const code = await model.generate('Once').catch((error) => error.code)
  return { finishReason, code }
}

const report = {
  arch: process.arch,
  answers: await answers(),
  streamed: await streamed(),
  aborted: await aborted(),
  sampled: await sampled(),
  embeddings: (await model.embed(TEXTS)).embeddings.map((vector) => [...vector]),
  closed: await closed(),
}
process.stdout.write(JSON.stringify(report))

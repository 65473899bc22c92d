import { getLlama, LlamaChatSession, LlamaLogLevel } from 'node-llama-cpp'

import { serve } from './serve.mjs'

let model
let context

/** Every token of `sequence` from here on, through its own `evaluate`. */
async function generate(prompt, maxTokens, onFirst) {
  const sequence = context.getSequence()
  const tokens = model.tokenize(prompt)
  let completionTokens = 0
  for await (const _ of sequence.evaluate(tokens, { temperature: 0 })) {
    if (completionTokens === 0) onFirst()
    completionTokens += 1
    if (completionTokens === maxTokens) break
  }
  await sequence.dispose()
  return { promptTokens: tokens.length, completionTokens }
}

async function chat(prompt, maxTokens, onFirst) {
  const sequence = context.getSequence()
  const session = new LlamaChatSession({ contextSequence: sequence, autoDisposeSequence: false })
  let completionTokens = 0
  await session.prompt(prompt, {
    maxTokens,
    temperature: 0,
    onToken(tokens) {
      if (completionTokens === 0) onFirst()
      completionTokens += tokens.length
    },
  })
  const promptTokens = sequence.nextTokenIndex - completionTokens
  session.dispose()
  await sequence.dispose()
  return { promptTokens, completionTokens }
}

serve({
  async load({ model: path, threads, context: contextSize, sequences, flashAttention }) {
    const llama = await getLlama({ gpu: false, build: 'never', logLevel: LlamaLogLevel.error, maxThreads: threads })
    model = await llama.loadModel({ modelPath: path })
    context = await model.createContext({ contextSize, sequences, threads, batchSize: 512, flashAttention })
  },
  ways: { generate, chat },
})

import { loadModel } from '../../dist/index.mjs'
import { serve } from './serve.mjs'

const GREEDY = { temperature: 0, ignoreEos: true }
let model

async function read(generation, onFirst) {
  let isFirst = true
  for await (const part of generation) {
    if (isFirst && part.type === 'text-delta') {
      isFirst = false
      onFirst()
    }
  }
  return (await generation).usage
}

serve({
  async load({ model: path, threads, context, sequences }) {
    model = await loadModel(path, {
      contextSize: context,
      maxSequences: sequences,
      kvCells: context * sequences,
      maxQueue: 256,
      threads,
      threadsBatch: threads,
    })
  },
  ways: {
    generate: (prompt, maxTokens, onFirst) => read(model.generate(prompt, { ...GREEDY, maxTokens }), onFirst),
    chat: (prompt, maxTokens, onFirst) =>
      read(model.chat([{ role: 'user', content: prompt }], { ...GREEDY, maxTokens }), onFirst),
  },
})

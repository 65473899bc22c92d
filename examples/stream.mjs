// Shows an answer while it is made, then what it cost.
import { bundledModelPath, loadModel } from 'rkllmjs'

const model = await loadModel(process.argv[2] ?? bundledModelPath())
const messages = [{ role: 'user', content: 'Tell me a story about a lion' }]
for await (const part of model.chat(messages, { seed: 1, maxTokens: 256 })) {
  if (part.type === 'text-delta') process.stdout.write(part.text)
  else if (part.type === 'finish') console.log(`\n\n${part.finishReason}: ${JSON.stringify(part.timings, null, 2)}`)
}
await model.close()

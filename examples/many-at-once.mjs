// Sixteen questions, eight at a time: the scheduler batches them, the rest wait in the queue.
import { bundledModelPath, loadModel } from 'rkllmjs'

const model = await loadModel(process.argv[2] ?? bundledModelPath(), { maxSequences: 8 })
const countries = [
  'France', 'Japan', 'Italy', 'Spain', 'Germany', 'Egypt', 'Peru', 'Norway',
  'Kenya', 'Cuba', 'Chile', 'India', 'Poland', 'Greece', 'Austria', 'Portugal',
]
const ask = async (country) => {
  const { text, timings } = await model.chat([{ role: 'user', content: `What is the capital of ${country}?` }], {
    temperature: 0,
    maxTokens: 32,
  })
  return `${timings.queueMs.toFixed(0).padStart(6)} ms in the queue   ${text}`
}
const started = performance.now()
for (const line of await Promise.all(countries.map(ask))) console.log(line)
const { completionTokens, steps } = model.stats()
console.log(`${completionTokens} tokens in ${steps} steps and ${(performance.now() - started).toFixed(0)} ms`)
await model.close()

// Loads a model, prints the first token of an answer, and ends.
import { loadModel } from '../../dist/index.mjs'

const [path, threads] = process.argv.slice(2)
const count = Number(threads)
const model = await loadModel(path, { contextSize: 512, maxSequences: 1, threads: count, threadsBatch: count })
for await (const part of model.chat([{ role: 'user', content: 'Hello' }], { temperature: 0, ignoreEos: true })) {
  if (part.type === 'text-delta') {
    process.stdout.write('first\n')
    break
  }
}
process.exit(0)

// Loads a saved conversation and goes on with it: `node state.mjs <file> <messages as JSON>`.
import { bundledModelPath, loadModel } from 'rkllmjs'

const [file, messages] = process.argv.slice(2)
const model = await loadModel(bundledModelPath(), { threads: 1 })
const { tokens } = await model.loadState(file)
const { text, usage } = await model.chat(JSON.parse(messages), { temperature: 0 })
await model.close()
console.log(JSON.stringify({ tokens, text, cachedTokens: usage.cachedTokens }))

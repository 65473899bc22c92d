// A model in a process of its own, and this process ends or is ended while it answers. Prints the number of
// the engine's process once it answers.
import { readFileSync } from 'node:fs'

import { bundledModelPath, loadModel } from '../../dist/index.mjs'
import { engineProcesses } from '../support/engine-processes.mjs'

const [way, library, modelPath] = process.argv.slice(2)
const npu = { libraryPath: library, contextSize: 512, temperature: 0 }
const options = { isolate: true, ...(library ? npu : {}) }
const model = await loadModel(modelPath ?? bundledModelPath(), options)
const [child] = engineProcesses(process.pid)
if (readFileSync(`/proc/${child}/cmdline`, 'utf8') === '') throw new Error('no engine')

const answers = {
  exit: () => setTimeout(() => process.exit(7), 20),
  wait: () => {},
  noise: () => {},
}
answers[way]()
console.log(way === 'noise' ? 'answering' : child)
const { text } = await model.generate('Once upon a time', { maxTokens: way === 'noise' ? 8 : 400 })
if (way === 'noise') {
  console.log(`answer: ${JSON.stringify(text)}`)
  await model.close()
} else {
  for (;;) await model.generate('Once upon a time', { maxTokens: 400, ...(library ? {} : { ignoreEos: true }) })
}

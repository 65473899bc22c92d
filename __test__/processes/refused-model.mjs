// A model that the NPU's runtime does not open, in this process: prints what the error says.
import { RKLLMClient } from '../../dist/index.mjs'

const [libraryPath, modelPath] = process.argv.slice(2)
try {
  await RKLLMClient.load(modelPath, { libraryPath, contextSize: 512, isolate: false })
  console.log('it was opened')
} catch (error) {
  console.log(`${error.code}: ${error.message}`)
}

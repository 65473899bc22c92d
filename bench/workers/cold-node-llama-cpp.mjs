// Loads a model, prints the first token of an answer, and ends.
import { getLlama, LlamaChatSession, LlamaLogLevel } from 'node-llama-cpp'

const [path, threads] = process.argv.slice(2)
const llama = await getLlama({ gpu: false, build: 'never', logLevel: LlamaLogLevel.error, maxThreads: Number(threads) })
const model = await llama.loadModel({ modelPath: path })
const context = await model.createContext({ contextSize: 512, threads: Number(threads), flashAttention: true })
const session = new LlamaChatSession({ contextSequence: context.getSequence() })
await session.prompt('Hello', {
  temperature: 0,
  maxTokens: 8,
  onToken() {
    process.stdout.write('first\n')
    process.exit(0)
  },
})

// An ES module that uses the package as the README shows.
import { LlamaModel, RKLLMClient, RkllmError, bundledModelPath, loadModel } from 'rkllmjs'
import { standinLibrary, standinModelPath } from 'rkllmjs/standin'

const model: LlamaModel = await LlamaModel.load(bundledModelPath(), { contextSize: 1024, maxSequences: 2 })
const controller = new AbortController()

const result = await model.generate('Once upon a time', { maxTokens: 64, temperature: 0, signal: controller.signal })
const text: string = result.text
const reason: 'stop' | 'length' | 'cancelled' | 'tool-calls' = result.finishReason
const promptTokens: number = result.usage.promptTokens
const speed: number = result.timings.tokensPerSecond

for await (const part of model.chat([{ role: 'user', content: 'What is the capital of France?' }])) {
  switch (part.type) {
    case 'text-delta':
      process.stdout.write(part.text)
      break
    case 'finish':
      process.stdout.write(part.finishReason)
      break
  }
}

try {
  await using other = await loadModel('model.gguf')
  await other.generate(text, { onToken: (piece: string, token: number) => void [piece, token] })
} catch (error) {
  if (RkllmError.is(error)) process.exitCode = error.retryable ? 1 : 2
}

const client: RKLLMClient = await RKLLMClient.load(standinModelPath(), { libraryPath: standinLibrary('1.3') })
const abi: '1.2' | '1.3' = client.runtimeInfo().abi
await client.close()

// @ts-expect-error: a runtime that is not stood in for
standinLibrary('1.1')

// @ts-expect-error: an option that does not exist
await model.generate('', { temprature: 0 })

await model.close()
export { abi, promptTokens, reason, speed }

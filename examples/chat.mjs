// A conversation: each turn brings all messages so far.
import { bundledModelPath, loadModel } from 'rkllmjs'

const model = await loadModel(process.argv[2] ?? bundledModelPath())
const messages = []
for (const content of ['My name is Alice.', 'What is the capital of France?', 'What is my name?']) {
  messages.push({ role: 'user', content })
  const { message, usage } = await model.chat(messages, { temperature: 0, maxTokens: 128 })
  messages.push(message)
  console.log(`> ${content}\n${message.content}   (${usage.promptTokens} + ${usage.completionTokens} tokens)`)
}
await model.close()

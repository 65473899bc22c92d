// An ES module that uses the package as the README shows.
import { ChatSession, LlamaModel, RKLLMClient, RkllmError, bundledModelPath, loadModel, tool } from 'rkllmjs'
import type { Answer, ObjectResult, StandardJsonSchema, StandardSchema } from 'rkllmjs'
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

/** A schema of a library: it takes text and gives a day. */
declare const day: StandardSchema<{ day: string }, { day: Date }> & StandardJsonSchema<{ day: string }, { day: Date }>
declare const bare: StandardSchema<{ city: string }>

const messages = [{ role: 'user', content: 'Which day is it?' }] as const
const { object } = await model.generateObject(messages, { schema: day, maxTokens: 20 })
const year: number = object.day.getFullYear()
const paired = await model.generateObject(messages, { schema: { schema: bare, jsonSchema: { type: 'object' } } })
const city: string = paired.object.city
const named: Answer<ObjectResult<{ name: string }>, unknown> = model.generateObject<{ name: string }>(messages, { schema: { type: 'object' } })
const unknown: unknown = (await model.generateObject(messages, { schema: { type: 'object' } })).object
for await (const part of model.generateObject(messages, { schema: day })) {
  if (part.type === 'object-delta') void part.object.day?.toUpperCase()
  if (part.type === 'finish') void part.object.day.getTime()
}

// @ts-expect-error: the schema gives a day and no text
void object.day.toUpperCase()

// @ts-expect-error: an option that would leave no object
await model.generateObject(messages, { schema: day, tools: [] })

const calendar = tool({ name: 'calendar', input: day, execute: ({ day }, { signal }) => signal.aborted || day.getTime() })
const plain = tool({ name: 'plain', input: { type: 'object' }, execute: (input) => Object.keys(input).length })
const told = tool<{ city: string }>({ name: 'told', input: { type: 'object' }, execute: ({ city }) => city.length })
const tools = [calendar, plain, told, tool({ name: 'none', execute: () => 'now' })]
const run = model.runTools(messages, { tools, maxSteps: 3, onStep: ({ toolResults }) => void toolResults[0]?.content })
for await (const part of run) if (part.type === 'tool-result') void [part.step, part.content]
const answered: string = (await run).text

// @ts-expect-error: a definition has nothing to execute
await model.runTools(messages, { tools: [calendar.definition] })

const session = new ChatSession(model, { system: 'Be brief.', tools, contextStrategy: { summarize: (all) => all.length.toFixed() } })
const cached: number = (await session.send('Hi', { maxTokens: 8 })).usage.cachedTokens
const fork: ChatSession = session.fork()
const restored: number | undefined = (await ChatSession.load(model, 'talk.json')).restored?.tokens

await model.close()
export { abi, answered, cached, city, fork, named, promptTokens, reason, restored, speed, unknown, year }

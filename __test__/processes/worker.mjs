/** A worker thread that uses a model of its own; `workerData.phase` says how far it gets. */
import { parentPort, workerData } from 'node:worker_threads'
import { bundledModelPath, loadModel } from '../../dist/index.mjs'

const { phase, longModel } = workerData
const say = (message) => parentPort.postMessage(message)
const load = () => loadModel(bundledModelPath(), { threads: 1 })
const LONG_ANSWER = { maxTokens: 900, ignoreEos: true }
const QUESTION = [{ role: 'user', content: 'Repeat this exactly: nokplock prafloo' }]

/** Answers without end; `work` runs at the first token. */
async function decode(model, work) {
  let isFirst = true
  const onToken = () => {
    if (isFirst) work()
    isFirst = false
  }
  for (;;) await model.generate('Once upon a time', { ...LONG_ANSWER, onToken })
}

const phases = {
  async answer() {
    const model = await load()
    const { message } = await model.chat(QUESTION, { temperature: 0 })
    await model.close()
    say(message.content)
  },
  async load() {
    say('loading')
    for (;;) await load()
  },
  async prefill() {
    const model = await loadModel(longModel, { contextSize: 8192, maxSequences: 1, kvCells: 8192, threads: 1 })
    const prompt = Uint32Array.from({ length: 8000 }, (_, i) => (i % 200) + 10)
    say('prefilling')
    await model.generate(prompt, { maxTokens: 1 })
  },
  async decode() {
    await decode(await load(), () => say('decoding'))
  },
  async stream() {
    const model = await load()
    say('streaming')
    for (;;) for await (const _ of model.generate('Once upon a time', LONG_ANSWER));
  },
  async closing() {
    const model = await load()
    const ended = decode(model, () => {
      model.close()
      say('closing')
    })
    await ended.catch(({ code }) => say(code))
    setInterval(() => {}, 1000)
  },
  async closed() {
    const model = await load()
    await model.close()
    say('closed')
    setInterval(() => {}, 1000)
  },
  async exit() {
    await decode(await load(), () => {
      say('decoding')
      process.exit(7)
    })
  },
  async throw() {
    await decode(await load(), () => {
      setImmediate(() => {
        throw new Error('on purpose')
      })
    })
  },
  async 'left open'() {
    const model = await load()
    const { message } = await model.chat(QUESTION, { temperature: 0 })
    say(message.content)
  },
}

await phases[phase]()

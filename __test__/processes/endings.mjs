/**
 * One way for a process to end while a model is at work, named on the command line.
 *
 * Usage: endings.mjs <way> [delay in ms, 0 for at once] [long-context model]. It exits with 7
 * where it was meant to end, and with 9 if what should have been interrupted was over by then.
 */
import { bundledModelPath, loadModel } from '../../dist/index.mjs'

const MEANT = 7
const TOO_LATE = 9

const [way, delay = '0', longModel] = process.argv.slice(2)

const load = () => loadModel(bundledModelPath())

const LONG_ANSWER = { maxTokens: 900, ignoreEos: true }
const SHORT_ANSWER = { maxTokens: 200, ignoreEos: true }

const soon = (work) => (delay === '0' ? work() : setTimeout(work, Number(delay)))
const exit = () => process.exit(MEANT)
const tooLate = () => process.exit(TOO_LATE)

/** Decodes, and does `work` some time after the first token. */
async function midDecode(work) {
  const model = await load()
  let isArmed = false
  const onToken = () => {
    if (!isArmed) soon(work)
    isArmed = true
  }
  // What the exit must interrupt never ends before it.
  const again = () => model.generate('Once upon a time', { ...LONG_ANSWER, onToken }).then(again, () => {})
  again()
  return model
}

/** Decodes and says so; the signal comes from outside. */
const untilSignal = () => midDecode(() => console.log('decoding'))

async function stream(model, onPart) {
  for (;;) for await (const part of model.generate('Once upon a time', LONG_ANSWER)) onPart(part)
}

async function prefilling() {
  const model = await loadModel(longModel, { contextSize: 8192, maxSequences: 1, kvCells: 8192 })
  const prompt = Uint32Array.from({ length: 8000 }, (_, i) => (i % 200) + 10)
  model.generate(prompt, { maxTokens: 1 }).then(tooLate, tooLate)
  return model
}

const ways = {
  exit: () => midDecode(exit),
  'really-exit': () => midDecode(() => process.reallyExit(MEANT)),
  async 'for-await'() {
    let isArmed = false
    await stream(await load(), () => {
      if (!isArmed) soon(exit)
      isArmed = true
    })
  },
  async eight() {
    const model = await load()
    let begun = 0
    const onToken = () => {
      begun += 1
      if (begun === 1) soon(exit)
    }
    const again = (i) => model.generate('Once upon a time', { ...LONG_ANSWER, seed: i, onToken }).then(() => again(i))
    for (let i = 0; i < 8; i += 1) again(i)
  },
  async prefill() {
    await prefilling()
    soon(exit)
  },
  async 'prefill-really-exit'() {
    await prefilling()
    soon(() => process.reallyExit(MEANT))
  },
  load() {
    loadModel(longModel ?? bundledModelPath())
    soon(exit)
  },
  'load-progress'() {
    loadModel(longModel ?? bundledModelPath(), { onProgress: () => soon(exit) })
  },
  'load-really-exit'() {
    loadModel(longModel ?? bundledModelPath())
    soon(() => process.reallyExit(MEANT))
  },
  async close() {
    const model = await load()
    model.generate('Once upon a time', {
      ...LONG_ANSWER,
      onToken() {
        model.close()
        soon(exit)
      },
    })
  },
  async 'close-idle'() {
    const model = await load()
    model.close()
    soon(exit)
  },
  uncaught() {
    process.on('uncaughtException', exit)
    return midDecode(() => {
      setImmediate(() => {
        throw new Error('on purpose')
      })
    })
  },
  throw: () =>
    midDecode(() => {
      setImmediate(() => {
        throw new Error('on purpose')
      })
    }),
  rejection: () => midDecode(() => void Promise.reject(new Error('on purpose'))),
  'exit-handler'() {
    // A handler of the user's that comes after ours still finds a library that answers.
    const loaded = midDecode(exit)
    process.on('exit', async () => {
      const model = await loaded
      model.close()
    })
    return loaded
  },
  signal: untilSignal,
  async 'signal-handled'() {
    process.on('SIGINT', exit)
    process.on('SIGTERM', exit)
    await untilSignal()
  },
  async 'signal-closes'() {
    const model = await load()
    process.on('SIGINT', () => model.close())
    let isArmed = false
    const onToken = () => {
      if (!isArmed) console.log('decoding')
      isArmed = true
    }
    let result
    do result = await model.generate('Once upon a time', { ...LONG_ANSWER, onToken })
    while (result.finishReason === 'length')
    console.log(result.finishReason)
  },
  async idle() {
    await load()
    console.log('loaded')
  },
  async finished() {
    const model = await load()
    const { finishReason } = await model.generate('Once upon a time', { maxTokens: 8, ignoreEos: true })
    console.log(finishReason)
  },
  async abandoned() {
    const model = await load()
    const { done } = await model.generate('Once upon a time', LONG_ANSWER)[Symbol.asyncIterator]().next()
    console.log(done)
  },
  async 'abandoned-eight'() {
    const model = await load()
    const readers = Array.from({ length: 8 }, () =>
      model.generate('Once upon a time', LONG_ANSWER)[Symbol.asyncIterator](),
    )
    await Promise.all(readers.map((reader) => reader.next()))
    console.log('abandoned')
  },
  async pending() {
    const model = await load()
    model.generate('Once upon a time', SHORT_ANSWER).then(({ usage }) => console.log(usage.completionTokens))
  },
  async unobserved() {
    const model = await load()
    model.generate('Once upon a time', SHORT_ANSWER)
    process.on('exit', () => console.log(model.stats().completionTokens))
  },
  async broken() {
    const model = await load()
    for await (const _ of model.generate('Once upon a time', LONG_ANSWER)) break
    console.log('left')
  },
  async closed() {
    const model = await load()
    await model.close()
    console.log('closed')
  },
}

await ways[way]()

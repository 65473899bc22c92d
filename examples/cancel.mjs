// Four ways to stop an answer. The first two are no errors; the others reject.
import { RkllmError, bundledModelPath, loadModel } from 'rkllmjs'

const model = await loadModel(process.argv[2] ?? bundledModelPath())
// Runs to the end of the context unless it is stopped.
const start = (options = {}) => model.generate('Once', { ignoreEos: true, ...options })

const left = start()
for await (const part of left) {
  if (part.type === 'text-delta') break
}
console.log('break:    ', (await left).finishReason)

const cancelled = start()
cancelled.cancel()
console.log('cancel(): ', (await cancelled).finishReason)

const controller = new AbortController()
const aborted = start({ signal: controller.signal })
controller.abort(new Error('the user left'))
await aborted.catch((error) => console.log('signal:   ', error.message))

await start({ n: 8, timeoutMs: 5 }).catch((error) => {
  if (!RkllmError.is(error)) throw error
  console.log('timeoutMs:', error.code)
})
await model.close()

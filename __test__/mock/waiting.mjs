/** One way to wait for a model or not to, named on the command line. The engine takes its time. */
import { LlamaModel } from '../../dist/llama-model.js'
import { MockModel } from './native.mjs'

const native = new MockModel()
const model = new LlamaModel(native)

/** Like the addon's callbacks, this timer keeps no process from ending. */
const later = (work) => setTimeout(work, 200).unref()

const ways = {
  async await() {
    const generation = model.generate('x')
    later(() => native.generations[0].write('hello').end())
    console.log((await generation).text)
  },
  async iterate() {
    const generation = model.generate('x')
    later(() => native.generations[0].write('hello').flush())
    later(() => native.generations[0].end())
    for await (const part of generation) if (part.type === 'text-delta') console.log(part.text)
  },
  async break() {
    const generation = model.generate('x')
    later(() => native.generations[0].write('hello').flush())
    for await (const _ of generation) break
    console.log((await generation).finishReason)
  },
  ignore() {
    model.generate('x')
    later(() => {
      console.log('ended')
      native.generations[0].end()
    })
  },
  async close() {
    native.close = () => new Promise((resolve) => later(() => resolve(null)))
    await model.close()
    console.log('closed')
  },
  idle() {
    later(() => console.log('still here'))
  },
  async abandon() {
    const generation = model.generate('x')
    later(() => native.generations[0].write('a').write('b').flush())
    await generation[Symbol.asyncIterator]().next()
    later(() => console.log('still here'))
    console.log('one part')
  },
  async abort() {
    const controller = new AbortController()
    const generation = model.generate('x', { signal: controller.signal })
    native.generations[0].cancel = () => later(() => console.log('still here'))
    controller.abort('enough')
    await generation.catch((reason) => console.log(reason))
  },
}

await ways[process.argv[2]]()

// Models in several files: any part loads all, and a part that is missing, too many or of another model is named.
import assert from 'node:assert/strict'
import { copyFileSync, mkdtempSync, readFileSync, renameSync, rmSync, statSync, writeFileSync } from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import { after, before, describe, test } from 'node:test'
import { bundledModelPath, diagnose, inspect, loadModel, quantize } from 'rkllmjs'
import { isError, user } from './support/expect.mjs'
import { microModelPath, openTiny, pirateLoraPath } from './support/models.mjs'
import { i32, partName, splitModel, u16 } from './support/split.mjs'

const folder = mkdtempSync(path.join(os.tmpdir(), 'rkllmjs-split-'))
after(() => rmSync(folder, { recursive: true, force: true }))

let names = 0
/** The parts of a model in a folder of their own. */
function parts(file, count, change) {
  names += 1
  return splitModel(file, path.join(folder, String(names)), count, change)
}

const SMALL = { contextSize: 128, maxSequences: 1, threads: 1 }

describe('a model in several files', () => {
  let tiny
  before(() => {
    tiny = parts(bundledModelPath(), 3)
  })

  test('answers as the whole one does, whichever part is named', async () => {
    const whole = await openTiny()
    const ask = async (model) => (await model.chat([user('What is the capital of France?')], { temperature: 0 })).text
    const expected = await ask(whole)
    for (const part of tiny) {
      const model = await loadModel(part, { threads: 1 })
      assert.equal(await ask(model), expected)
      assert.equal(model.info.parameters, whole.info.parameters)
      assert.equal(model.info.sizeBytes, tiny.reduce((sum, file) => sum + statSync(file).size, 0))
      assert.equal(model.info.path, part)
      await model.close()
    }
    await whole.close()
  })

  test('runs in a process of its own and under an adapter', async () => {
    const model = await loadModel(tiny[1], { threads: 1, isolate: true })
    await model.loadLora(pirateLoraPath(), { name: 'pirate' })
    const { text } = await model.chat([user('What is the capital of France?')], { temperature: 0, lora: 'pirate' })
    await model.close()
    assert.equal(text, 'Arr, the capital of France is Paris.')
  })

  test('is inspected as one', async () => {
    const whole = await inspect(bundledModelPath())
    const split = await inspect(tiny[2])
    for (const fact of ['parameters', 'tensors', 'quantization', 'architecture', 'layers', 'chatTemplate', 'memory']) assert.deepEqual(split[fact], whole[fact], fact)
    assert.deepEqual(split.files, tiny)
    assert.equal(split.loadable, true)
    assert.equal(split.sizeBytes, tiny.reduce((sum, file) => sum + statSync(file).size, 0))
    assert.deepEqual(whole.files, [bundledModelPath()])
    assert.deepEqual((await diagnose({ models: [tiny[0]] })).problems.filter(({ message }) => message.includes(tiny[0])), [])
  })

  test('is quantized into one file', async () => {
    const out = path.join(folder, 'joined.gguf')
    await quantize(tiny[1], out, { type: 'q4_0', allowRequantize: true })
    const { loadable, tensors, files } = await inspect(out)
    assert.deepEqual([loadable, tensors, files], [true, (await inspect(bundledModelPath())).tensors, [out]])
  })
})

describe('of a model in several files is refused', () => {
  const refused = async (file, message) => {
    await assert.rejects(loadModel(file, SMALL), isError('model-invalid', message))
    await assert.rejects(inspect(file), isError('model-invalid', message))
  }

  test('a missing part, by its name', async () => {
    const files = parts(microModelPath(), 3)
    rmSync(files[1])
    for (const file of [files[0], files[2]]) await refused(file, /part model-00002-of-00003\.gguf: cannot open the file/)
    await assert.rejects(loadModel(files[1], SMALL), isError('model-not-found'))
  })

  test('a part too many', async () => {
    const files = parts(microModelPath(), 2)
    copyFileSync(files[1], path.join(path.dirname(files[0]), partName('model', 3, 2)))
    await refused(files[0], /part model-00003-of-00002\.gguf is one too many/)
  })

  test('a part under another name', async () => {
    const files = parts(microModelPath(), 2)
    const renamed = path.join(path.dirname(files[0]), 'renamed.gguf')
    renameSync(files[0], renamed)
    await refused(renamed, /its name must end in "-00001-of-00002\.gguf"/)
  })

  test('a part in the place of another', async () => {
    const files = parts(microModelPath(), 3)
    copyFileSync(files[2], files[1])
    await refused(files[0], /part model-00002-of-00003\.gguf: is part 3 of 3 by its contents/)
  })

  test('a part that is a whole model, and one of a model with other tensors', async () => {
    const files = parts(microModelPath(), 2)
    copyFileSync(microModelPath(), files[1])
    await refused(files[0], /part model-00002-of-00002\.gguf: is no part of a model in several files/)
    const mixed = parts(microModelPath(), 2, (part, number) =>
      number === 1 ? { ...part, keys: [u16('split.no', 1), u16('split.count', 2), i32('split.tensors.count', 7)] } : part,
    )
    await refused(mixed[0], /part model-00002-of-00002\.gguf: is of another model/)
  })

  test('a tensor that is in two parts, and one that is in none', async () => {
    let last
    const twice = parts(microModelPath(), 2, (part, number) => {
      if (number === 0) last = part.tensors.at(-1)
      return number === 1 ? { ...part, tensors: [...part.tensors.slice(0, -1), last] } : part
    })
    await refused(twice[0], /part model-00002-of-00002\.gguf: has tensor .* which another part has too/)
    const none = parts(microModelPath(), 2, (part, number) => (number === 1 ? { ...part, tensors: part.tensors.slice(1) } : part))
    await refused(none[0], /the parts hold \d+ tensors together and promise \d+/)
  })

  test('a part that is truncated, empty or text', async () => {
    for (const spoil of [(bytes) => bytes.subarray(0, bytes.length - 4096), () => '', () => 'no model']) {
      const files = parts(microModelPath(), 2)
      writeFileSync(files[1], spoil(readFileSync(files[1])))
      await refused(files[0], /part model-00002-of-00002\.gguf/)
    }
  })

  test('a number of parts beyond reason', async () => {
    const files = parts(microModelPath(), 2, (part) => ({ ...part, keys: part.keys.map((entry) => (entry.key === 'split.count' ? u16('split.count', 65_535) : entry)) }))
    await refused(files[0], /says it is part 1 of 65535/)
  })
})

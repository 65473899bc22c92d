// Control vectors: what they change, that requests under different ones do not mix, and which files are refused.
import assert from 'node:assert/strict'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import { after, before, describe, test } from 'node:test'
import { bundledModelPath } from 'rkllmjs'
import { isError } from './support/expect.mjs'
import { openTiny, pirateLoraPath } from './support/models.mjs'
import { serialize, text } from './support/split.mjs'

const folder = mkdtempSync(path.join(os.tmpdir(), 'rkllmjs-control-'))
after(() => rmSync(folder, { recursive: true, force: true }))

const F32 = 0
const F16 = 1
/** The same numbers every time, of a size that turns any text. */
const wave = (length, step) => Float32Array.from({ length }, (_, i) => 100 * Math.sin(i * step))
const direction = (layer, values, type = F32) => ({ name: `direction.${layer}`, dims: [values.length], type, data: Buffer.from(values.buffer) })

let names = 0
function vectorFile(tensors, architecture = 'controlvector') {
  names += 1
  const file = path.join(folder, `${names}.gguf`)
  writeFileSync(file, serialize({ keys: [text('general.architecture', architecture)], tensors }))
  return file
}

describe('a control vector', () => {
  let model
  let width
  let layers
  before(async () => {
    model = await openTiny({ contextSize: 128, maxSequences: 4 })
    ;({ embeddingLength: width, layers } = model.info)
    const all = (step) => Array.from({ length: layers - 1 }, (_, i) => direction(i + 1, wave(width, step + i)))
    await model.loadControlVector(vectorFile(all(1)), { name: 'one' })
    await model.loadControlVector(vectorFile(all(2)), { name: 'two', scale: -0.5 })
    await model.loadControlVector(vectorFile([direction(1, new Float32Array(width))]), { name: 'none' })
  })
  after(() => model.close())

  const write = async (controlVectors, others) =>
    (await model.generate('Once upon a time there was', { maxTokens: 16, temperature: 0, ignoreEos: true, controlVectors, ...others })).tokens

  test('changes the text, by its sign and its strength', async () => {
    const plain = await write(undefined)
    const [with1, against] = [await write('one'), await write({ one: -1 })]
    assert.notDeepEqual(with1, plain)
    assert.notDeepEqual(against, plain)
    assert.notDeepEqual(against, with1)
    assert.deepEqual(await write({ one: 0 }), plain)
    assert.deepEqual(await write('none'), plain)
    assert.deepEqual(await write(undefined), plain)
  })

  test('applies at the scale it was loaded with where a request names none', async () => {
    assert.deepEqual(await write('two'), await write({ two: -0.5 }))
    assert.notDeepEqual(await write('two'), await write({ two: 1 }))
    assert.deepEqual(model.controlVectors.map(({ name, scale }) => [name, scale]), [['one', 1], ['two', -0.5], ['none', 1]])
  })

  test('adds up with others, and goes together with an adapter', async () => {
    assert.deepEqual(await write({ one: 1, none: 5 }), await write('one'))
    assert.notDeepEqual(await write({ one: 1, two: 1 }), await write('one'))
    await model.loadLora(pirateLoraPath(), { name: 'pirate' })
    assert.deepEqual(await write({ one: 0 }, { lora: 'pirate' }), await write(undefined, { lora: 'pirate' }))
    assert.notDeepEqual(await write('one', { lora: 'pirate' }), await write(undefined, { lora: 'pirate' }))
  })

  test('belongs to its request alone, also when others run at the same time', async () => {
    const wanted = [undefined, 'one', 'two', { one: -1 }]
    const alone = []
    for (const vectors of wanted) alone.push(await write(vectors))
    assert.deepEqual(await Promise.all(wanted.map((vectors) => write(vectors))), alone)
  })

  test('applies to the layers it is asked for', async () => {
    const file = vectorFile([direction(1, wave(width, 1)), direction(layers - 1, wave(width, 5))])
    await model.loadControlVector(file, { name: 'last', layers: [layers - 1, layers - 1] })
    await model.loadControlVector(vectorFile([direction(layers - 1, wave(width, 5))]), { name: 'only-last' })
    await model.loadControlVector(file, { name: 'both' })
    assert.deepEqual(await write('last'), await write('only-last'))
    assert.notDeepEqual(await write('last'), await write('both'))
    for (const layersAsked of [[0, 1], [1, layers], [2, 1], [1.5, 2], [NaN, 1]]) {
      await assert.rejects(model.loadControlVector(file, { name: 'x', layers: layersAsked }), isError('invalid-request', /layers must be a first and a last layer from 1 to/))
    }
    await assert.rejects(model.loadControlVector(file, { name: 'x', layers: 3 }), isError('invalid-request', /layers must be a pair/))
  })

  test('is unloaded by its name, and then unknown', async () => {
    await model.loadControlVector(vectorFile([direction(1, wave(width, 1))]), { name: 'gone' })
    assert.equal(await model.unloadControlVector('gone'), true)
    assert.equal(await model.unloadControlVector('gone'), false)
    await assert.rejects(write('gone'), isError('invalid-request', /controlVectors "gone" is not loaded; there are "one"/))
  })

  test('has a name that is free and not that of an adapter', async () => {
    const file = vectorFile([direction(1, wave(width, 1))])
    await assert.rejects(model.loadControlVector(file, { name: 'one' }), isError('invalid-request', /is taken by another control vector/))
    await assert.rejects(model.loadControlVector(file, { name: '' }), isError('invalid-request', /name/))
    await assert.rejects(model.loadControlVector(file, { name: 'x'.repeat(300) }), isError('invalid-request', /name must have 1 to 256 bytes/))
    await assert.rejects(model.loadLora(pirateLoraPath(), { name: 'control-vector:one' }), isError('invalid-request', /name must not begin/))
    await assert.rejects(write({ one: NaN }), isError('invalid-request', /controlVectors must be between/))
    await assert.rejects(write({ one: 1e7 }), isError('invalid-request', /controlVectors must be between/))
  })

  test('whose file is something else or does not fit is refused, and says why', async () => {
    const bad = wave(width, 1)
    bad[3] = NaN
    const refused = [
      [bundledModelPath(), /no control vector/],
      [pirateLoraPath(), /no control vector/],
      [vectorFile([direction(1, wave(width, 1))], 'llama'), /no control vector/],
      [vectorFile([]), /no directions/],
      [vectorFile([direction(0, wave(width, 1))]), /direction\.0.*is for layer 0/],
      [vectorFile([direction(layers, wave(width, 1))]), /directions are for 1 to/],
      [vectorFile([direction(1, wave(width + 1, 1))]), /not F32/],
      [vectorFile([direction(1, wave(width / 2, 1))]), /not F32/],
      [vectorFile([{ ...direction(1, wave(width, 1)), type: F16 }]), /F16/],
      [vectorFile([{ ...direction(1, wave(width, 1)), name: 'direction.one' }]), /is no direction of a layer/],
      [vectorFile([direction(1, bad)]), /not finite/],
    ]
    for (const [file, message] of refused) {
      await assert.rejects(model.loadControlVector(file, { name: 'bad' }), isError('model-invalid', message))
    }
    await assert.rejects(model.loadControlVector(path.join(folder, 'none.gguf'), { name: 'bad' }), isError('model-not-found'))
    assert.equal(model.controlVectors.some(({ name }) => name === 'bad'), false)
  })

  test('is not for a model in a process of its own, yet', async () => {
    const isolated = await openTiny({ contextSize: 128, maxSequences: 1, isolate: true })
    await assert.rejects(isolated.loadControlVector(vectorFile([direction(1, wave(width, 1))]), { name: 'x' }), isError('unsupported'))
    await isolated.close()
  })
})

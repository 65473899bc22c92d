// quantize(): every type gives a model that loads and answers; whatever goes wrong leaves no file behind.
import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { copyFileSync, existsSync, mkdirSync, mkdtempSync, readFileSync, readdirSync, rmSync, statSync, writeFileSync } from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import { after, describe, test } from 'node:test'
import { bundledModelPath, inspect, loadModel, quantize } from 'rkllmjs'
import { isError } from './support/expect.mjs'
import { slowModelPath } from './support/models.mjs'
import { syntheticModel } from './support/synthetic.mjs'

const folder = mkdtempSync(path.join(os.tmpdir(), 'rkllmjs-quantize-'))
after(() => rmSync(folder, { recursive: true, force: true }))

const source = () => syntheticModel('micro')
let names = 0
/** A folder of its own for a test, so that whatever is left in it shows. */
function place(name = 'out.gguf') {
  names += 1
  const own = path.join(folder, `place-${names}`)
  mkdirSync(own)
  return { own, out: path.join(own, name) }
}

const TYPES = ['f32', 'f16', 'bf16', 'q8_0', 'q6_k', 'q5_k_m', 'q5_k_s', 'q5_1', 'q5_0', 'q4_k_m', 'q4_k_s', 'q4_1', 'q4_0', 'iq4_nl', 'iq4_xs', 'q3_k_l', 'q3_k_m', 'q3_k_s', 'q2_k']

describe('quantize()', () => {
  for (const type of TYPES) {
    test(`to ${type} gives a model that answers`, async () => {
      const { own, out } = place()
      const result = await quantize(source(), out, { type, threads: 1 })
      assert.deepEqual(result, { path: out, type, inputBytes: statSync(source()).size, outputBytes: statSync(out).size })
      assert.deepEqual(readdirSync(own), ['out.gguf'])
      assert.equal((await inspect(out)).quantization.toLowerCase(), type)
      const model = await loadModel(out, { contextSize: 128, maxSequences: 1, threads: 1 })
      assert.equal((await model.generate('Hello', { maxTokens: 4, temperature: 0, ignoreEos: true })).tokens.length, 4)
      await model.close()
    })
  }

  test('makes the file smaller, and as small as the type says', async () => {
    const { out } = place()
    const { inputBytes, outputBytes } = await quantize(syntheticModel('tiny'), out, { type: 'q4_0' })
    assert.ok(outputBytes < inputBytes * 0.4, `${outputBytes} of ${inputBytes}`)
  })

  test('tells how much is done, rising to exactly 1', async () => {
    const told = []
    await quantize(source(), place().out, { type: 'q8_0', onProgress: (fraction) => told.push(fraction) })
    assert.ok(told.length > 0)
    assert.deepEqual(told, [...new Set(told)].sort((a, b) => a - b))
    assert.equal(told.at(-1), 1)
  })

  test('keeps what the bundled model says when it is quantized again on request', async () => {
    const { out } = place()
    await quantize(bundledModelPath(), out, { type: 'q6_k', allowRequantize: true })
    const model = await loadModel(out, { threads: 1 })
    const { text } = await model.chat([{ role: 'user', content: 'What is the capital of France?' }], { temperature: 0 })
    await model.close()
    assert.equal(text, 'The capital of France is Paris.')
  })

  test('lets answers go on meanwhile', async () => {
    const model = await loadModel(bundledModelPath(), { threads: 1 })
    const work = quantize(syntheticModel('tiny'), place().out, { type: 'q3_k_m', threads: 1 })
    const { text } = await model.generate('Once upon a time', { maxTokens: 8 })
    assert.notEqual(text, '')
    await work
    await model.close()
  })
})

describe('quantize() refuses and leaves nothing behind:', () => {
  const refusals = {
    'an unknown type, naming those that exist': [{ type: 'q9_z' }, 'invalid-request', /type must be one of f32, .*q2_k, got "q9_z"/],
    'no type': [{}, 'invalid-request', /type must be given/],
    'a type that is no string': [{ type: 4 }, 'invalid-request', /type must be a string/],
    'an unknown option': [{ type: 'q8_0', thread: 1 }, 'invalid-request', /did you mean "threads"/],
    'no threads': [{ type: 'q8_0', threads: 0 }, 'invalid-request', /threads must be a whole number from 1 to/],
    'too many threads': [{ type: 'q8_0', threads: 1e9 }, 'invalid-request', /threads must be/],
    'half a thread': [{ type: 'q8_0', threads: 1.5 }, 'invalid-request', /threads must be a whole number/],
  }
  for (const [what, [options, code, message]] of Object.entries(refusals)) {
    test(what, async () => {
      const { own, out } = place()
      await assert.rejects(quantize(source(), out, options), isError(code, message))
      assert.deepEqual(readdirSync(own), [])
    })
  }

  test('an input that is quantized already, naming its type and the way out', async () => {
    const { own, out } = place()
    const again = quantize(bundledModelPath(), out, { type: 'q4_0' })
    await assert.rejects(again, isError('unsupported', /input is quantized already \(q8_0\).*allowRequantize/))
    assert.deepEqual(readdirSync(own), [])
  })

  test('an output that exists, which stays as it is', async () => {
    const { own, out } = place()
    writeFileSync(out, 'mine')
    await assert.rejects(quantize(source(), out, { type: 'q8_0' }), isError('invalid-request', /output exists already/))
    assert.equal(readFileSync(out, 'utf8'), 'mine')
    assert.deepEqual(readdirSync(own), ['out.gguf'])
  })

  test('the input as the output', async () => {
    const { out } = place()
    copyFileSync(source(), out)
    await assert.rejects(quantize(out, out, { type: 'q8_0' }), isError('invalid-request', /exists already/))
    assert.equal(statSync(out).size, statSync(source()).size)
  })

  test('a folder that is not there, and one that is a file', async () => {
    const { own } = place()
    const missing = path.join(own, 'missing', 'out.gguf')
    await assert.rejects(quantize(source(), missing, { type: 'q8_0' }), isError('invalid-request', /output lies in .*missing, which is no folder/))
    writeFileSync(path.join(own, 'file'), '')
    await assert.rejects(quantize(source(), path.join(own, 'file', 'out.gguf'), { type: 'q8_0' }), isError('invalid-request', /no folder/))
  })

  test('a folder in which nobody may write', async () => {
    // Not even root makes files there.
    const out = '/proc/self/out.gguf'
    await assert.rejects(quantize(source(), out, { type: 'q8_0' }), isError('invalid-request', /output cannot be written: \/proc\/self\/out\.gguf/))
  })

  test('what is no model: a missing file, a text, a truncated model, an adapter, NaN weights', async () => {
    const { own, out } = place()
    const bytes = readFileSync(source())
    const text = path.join(folder, 'text.gguf')
    const short = path.join(folder, 'short.gguf')
    writeFileSync(text, 'not a model')
    writeFileSync(short, bytes.subarray(0, bytes.length - 4096))
    const to = (file) => quantize(file, out, { type: 'q8_0' })
    await assert.rejects(to(path.join(folder, 'none.gguf')), isError('model-not-found'))
    await assert.rejects(to(text), isError('model-invalid'))
    await assert.rejects(to(short), isError('model-invalid'))
    await assert.rejects(to(syntheticModel('lora')), isError('unsupported', /adapter/))
    await assert.rejects(to(syntheticModel('micro', '--nan', 'blk.0.attn_q.weight')), isError('model-invalid', /attn_q/))
    assert.deepEqual(readdirSync(own), [])
  })

  test('paths that are none', async () => {
    await assert.rejects(quantize(7, 'out.gguf', { type: 'q8_0' }), isError('invalid-request', /input must be a string/))
    await assert.rejects(quantize(source(), '', { type: 'q8_0' }), isError('invalid-request', /output must not be empty/))
    await assert.rejects(quantize(source(), `${folder}/a\0b`, { type: 'q8_0' }), isError('invalid-request', /output/))
  })

  test('a disk that is full: a typed error and no file', () => {
    const { own, out } = place()
    const program = `
      const { quantize } = require('rkllmjs')
      quantize(${JSON.stringify(syntheticModel('tiny'))}, ${JSON.stringify(out)}, { type: 'q8_0' })
        .then(() => console.log('done'), ({ code, message }) => console.log(code, message))`
    // The shell's limit on the size of a file stands in for the end of the disk; it counts blocks of 1 KiB.
    const { stdout, stderr } = spawnSync('bash', ['-c', 'ulimit -f 4096; exec "$0" -e "$1"', process.execPath, program], { cwd: path.dirname(import.meta.dirname), encoding: 'utf8' })
    assert.match(stdout, /^engine-failed .*out\.gguf cannot be written: .*make room and try again/, stderr)
    assert.deepEqual(readdirSync(own), [])
  })
})

describe('quantize() that is stopped', () => {
  test('by a signal that is aborted already does not begin', async () => {
    const { own, out } = place()
    const reason = new Error('too late')
    await assert.rejects(quantize(source(), out, { type: 'q8_0', signal: AbortSignal.abort(reason) }), (error) => error === reason)
    assert.deepEqual(readdirSync(own), [])
  })

  test('in the middle rejects with the reason of the signal, and has removed what it wrote', async () => {
    const { own, out } = place()
    const stop = new AbortController()
    const reason = new Error('enough')
    const told = []
    const work = quantize(syntheticModel('tiny'), out, {
      type: 'q2_k',
      threads: 1,
      signal: stop.signal,
      onProgress: (fraction) => {
        told.push(fraction)
        assert.equal(existsSync(out), false)
        assert.equal(readdirSync(own).length, 1)
        stop.abort(reason)
      },
    })
    await assert.rejects(work, (error) => error === reason)
    assert.ok(told[0] > 0 && told.at(-1) < 1, String(told))
    assert.deepEqual(readdirSync(own), [])
  })

  test('by a callback that throws rejects with what was thrown', async () => {
    const { own, out } = place()
    const thrown = new Error('from the callback')
    const work = quantize(syntheticModel('tiny'), out, { type: 'q2_k', threads: 1, onProgress: () => { throw thrown } })
    await assert.rejects(work, (error) => error === thrown)
    assert.deepEqual(readdirSync(own), [])
  })

  test('does not keep the next one from working, twenty times over', async () => {
    for (let i = 0; i < 20; i += 1) {
      const { own, out } = place()
      const stop = new AbortController()
      const work = quantize(slowModelPath(), out, { type: 'q4_0', allowRequantize: true, signal: stop.signal, onProgress: () => stop.abort() })
      await assert.rejects(work, { name: 'AbortError' })
      assert.deepEqual(readdirSync(own), [])
    }
    await quantize(source(), place().out, { type: 'q4_0' })
  })
})

// Conversations in files, and beginnings of ended requests in memory beside the cache.
import assert from 'node:assert/strict'
import { execFileSync, spawnSync } from 'node:child_process'
import { mkdirSync, mkdtempSync, readFileSync, readdirSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { pathToFileURL } from 'node:url'
import { after, before, describe, test } from 'node:test'

import { loadModel } from 'rkllmjs'
import { standinLibrary, standinModelPath } from 'rkllmjs/standin'

import { run } from './processes/run.mjs'
import { engineProcesses } from './support/engine-processes.mjs'
import { isError, user } from './support/expect.mjs'
import { microModelPath, openTiny, pirateLoraPath } from './support/models.mjs'

const GREEDY = { temperature: 0 }
const QUESTION = [user('What is the capital of France?')]
const OTHER = [user('Tell me a story about a lion')]
/** The mark, the version and the length of the head. */
const FRONT_BYTES = 16

const folder = mkdtempSync(path.join(tmpdir(), 'rkllmjs-state-'))
after(() => rmSync(folder, { recursive: true }))

let files = 0
const newFile = () => path.join(folder, `${(files += 1)}.state`)

const assistant = (content) => ({ role: 'assistant', content })
const cachedTokens = ({ usage }) => usage.cachedTokens

/** The sum at the end of a file with these pieces. */
function sumOf(pieces) {
  let sum = 0xcbf29ce484222325n
  const add = (word) => {
    const product = BigInt.asUintN(64, (sum ^ word) * 0x100000001b3n)
    sum = BigInt.asUintN(64, product << 29n) | (product >> 35n)
  }
  for (const piece of pieces) {
    add(BigInt(piece.length))
    const padded = Buffer.concat([piece, Buffer.alloc(8 - (piece.length % 8))])
    for (let at = 0; at < padded.length; at += 8) add(padded.readBigUInt64LE(at))
  }
  const bytes = Buffer.alloc(8)
  bytes.writeBigUInt64LE(sum)
  return bytes
}

/** The pieces of a saved file. */
function piecesOf(bytes) {
  const head = FRONT_BYTES + bytes.readUInt32LE(12)
  const { tokens } = JSON.parse(bytes.subarray(FRONT_BYTES, head).toString())
  const cells = head + 4 * tokens
  return [[0, FRONT_BYTES], [FRONT_BYTES, head], [head, cells], [cells, bytes.length - 8]].map(([from, to]) =>
    Buffer.from(bytes.subarray(from, to)),
  )
}

/** A file with these pieces whose sum is right. */
const sealed = (pieces) => Buffer.concat([...pieces, sumOf(pieces)])

for (const isolate of [false, true]) {
  describe(`conversations of a model ${isolate ? 'in a process of its own' : 'in this process'}`, () => {
    let model
    let first
    let talk

    before(async () => {
      model = await openTiny({ isolate })
      first = await model.chat(QUESTION, GREEDY)
      talk = [...QUESTION, assistant(first.text), user('What is the capital of Japan?')]
    })

    after(() => model.close())

    test('go on in another model as in the one that saved them', async () => {
      const file = newFile()
      const saved = await model.saveState(file)
      const { promptTokens, completionTokens } = first.usage
      assert.ok(Math.abs(saved.tokens - promptTokens - completionTokens) <= 1, `${saved.tokens} tokens`)
      assert.equal(saved.bytes, readFileSync(file).length)
      const here = await model.chat(talk, GREEDY)
      const other = await openTiny({ isolate })
      assert.deepEqual(await other.loadState(pathToFileURL(file)), { tokens: saved.tokens })
      const there = await other.chat(talk, GREEDY)
      assert.equal(there.text, here.text)
      assert.equal(there.text, 'The capital of Japan is Tokyo.')
      assert.equal(cachedTokens(there), saved.tokens)
      await other.close()
      const without = await openTiny({ isolate })
      assert.equal(cachedTokens(await without.chat(talk, GREEDY)), 0)
      await without.close()
    })

    test('are found by what they begin with, which is saved and no more', async () => {
      await model.chat(OTHER, { ...GREEDY, maxTokens: 8 })
      const text = model.applyChatTemplate(QUESTION)
      const tokens = model.tokenize(text, { addSpecial: true, parseSpecial: true })
      for (const prompt of [QUESTION, text, tokens, [...tokens]]) {
        assert.equal((await model.saveState(newFile(), { prompt })).tokens, first.usage.promptTokens)
      }
      const whole = await model.saveState(newFile(), { prompt: talk })
      assert.ok(whole.tokens > first.usage.promptTokens + 4, `${whole.tokens} tokens`)
    })

    test('belong to a tenant', async () => {
      const file = newFile()
      await assert.rejects(model.saveState(file, { tenant: 'a' }), isError('not-found', /no conversation of this tenant/))
      await model.saveState(file, { prompt: QUESTION })
      const { tokens } = await model.loadState(file, { tenant: 'a' })
      assert.equal(cachedTokens(await model.chat(talk, { ...GREEDY, tenant: 'b', maxTokens: 1 })), 0)
      assert.equal(cachedTokens(await model.chat(talk, { ...GREEDY, tenant: 'a', maxTokens: 1 })), tokens)
      assert.ok((await model.saveState(newFile(), { tenant: 'a' })).tokens > tokens)
    })

    test('belong to the adapter they ran under, whatever its name', async () => {
      const file = newFile()
      const asked = { ...GREEDY, tenant: 'lora' }
      await model.loadLora(pirateLoraPath(), { name: 'pirate', scale: 0.9 })
      const pirate = await model.chat(QUESTION, { ...asked, lora: 'pirate' })
      await model.saveState(file, { tenant: 'lora' })
      await model.unloadLora('pirate')
      await assert.rejects(model.saveState(newFile(), { tenant: 'lora' }), isError('not-found'))
      const refused = await model.loadState(file, { tenant: 'lora' }).catch((error) => error)
      assert.ok(isError('model-invalid', /adapter or a control vector that is not loaded/)(refused))
      assert.equal(refused.details.part, 'adapter')
      await model.loadLora(pirateLoraPath(), { name: 'voice', scale: 0.9 })
      await model.loadState(file, { tenant: 'lora' })
      assert.equal(cachedTokens(await model.chat(QUESTION, asked)), 0, 'without the adapter')
      const again = await model.chat(QUESTION, { ...asked, lora: 'voice' })
      assert.equal(again.text, pirate.text)
      assert.equal(cachedTokens(again), again.usage.promptTokens - 1)
      await model.unloadLora('voice')
    })

    test('are told from garbage, which harms nobody', async () => {
      const file = newFile()
      await model.saveState(file, { prompt: QUESTION })
      const good = readFileSync(file)
      const asked = { ...GREEDY, tenant: 'garbage' }
      const isRefused = async (bytes, what) => {
        writeFileSync(file, bytes)
        await assert.rejects(model.loadState(file, { tenant: 'garbage' }), isError('model-invalid'), what)
      }
      for (const length of [0, 1, 7, 8, 15, 16, 17, 100, good.length >> 1, good.length - 9, good.length - 1]) {
        await isRefused(good.subarray(0, length), `${length} bytes`)
      }
      await isRefused(Buffer.concat([good, Buffer.alloc(1)]), 'a byte more')
      await isRefused(Buffer.from(Array.from({ length: 5000 }, (_, at) => (at * 2654435761) >>> 24)), 'noise')
      for (let at = 3; at < good.length; at += Math.ceil(good.length / 60)) {
        const bytes = Buffer.from(good)
        bytes[at] ^= 1 << (at % 8)
        await isRefused(bytes, `byte ${at}`)
      }
      assert.deepEqual(sealed(piecesOf(good)), good, 'the test knows the format')
      assert.equal(cachedTokens(await model.chat(QUESTION, asked)), 0)
    })

    test('are told from crafted ones whose sum is right', async () => {
      const file = newFile()
      await model.saveState(file, { prompt: QUESTION })
      const pieces = piecesOf(readFileSync(file))
      const [front, head, tokens, cells] = pieces
      const count = tokens.length / 4
      const load = async (crafted) => {
        writeFileSync(file, sealed(crafted))
        return model.loadState(file, { tenant: 'crafted' })
      }
      const withWord = (at, value) => {
        const bytes = Buffer.from(cells)
        bytes.writeUInt32LE(value >>> 0, at)
        return [front, head, tokens, bytes]
      }
      // The mark, the streams, the cells; a position, its owners; transposed, layers, rotations, a type, a row.
      const common = 16 + 12 * count
      for (const at of [0, 8, 12, 16, 20, common, common + 4, common + 8, common + 16, common + 20, common + 24]) {
        for (const value of [2, 0x7fffffff, 0xffffffff]) {
          await assert.rejects(load(withWord(at, value)), isError('model-invalid', /cannot be restored/), `${at}: ${value}`)
        }
      }
      const infinite = Buffer.from(cells)
      infinite.fill(0x7c, cells.length - 64)
      await assert.rejects(load([front, head, tokens, infinite]), isError('model-invalid', /infinite/))
      const huge = JSON.stringify({ ...JSON.parse(head), tokens: 2 ** 40, cellsBytes: 2 ** 50 })
      const longer = Buffer.from(front)
      longer.writeUInt32LE(huge.length, 12)
      await assert.rejects(load([longer, Buffer.from(huge), tokens, cells]), isError('context-exceeded'))
      const unknown = Buffer.from(tokens)
      unknown.writeUInt32LE(0xffffffff, 4)
      await assert.rejects(load([front, head, unknown, cells]), isError('model-invalid', /tokens that the model does not know/))
      assert.deepEqual(await load(pieces), { tokens: count })
      const again = await model.chat(QUESTION, { ...GREEDY, tenant: 'crafted' })
      assert.deepEqual([again.text, cachedTokens(again)], [first.text, count - 1])
    })

    test('are found nowhere but in regular files', async () => {
      const pipe = path.join(folder, `pipe-${isolate}`)
      execFileSync('mkfifo', [pipe])
      const refused = isError('model-invalid', /cannot be opened/)
      for (const wrong of [folder, pipe, '/dev/zero']) await assert.rejects(model.loadState(wrong), refused)
      await assert.rejects(model.loadState(newFile()), isError('not-found', /there is no saved conversation/))
      const unwritable = isError('invalid-request', /^path /)
      for (const wrong of [folder, pipe, '/dev/null', path.join(folder, 'none', 'a.state')]) {
        await assert.rejects(model.saveState(wrong), unwritable, wrong)
      }
    })

    test('can be given up', async () => {
      const file = newFile()
      const before = readdirSync(folder)
      const reason = new Error('enough')
      const signal = AbortSignal.abort(reason)
      await assert.rejects(model.saveState(file, { signal }), reason)
      await assert.rejects(model.loadState(file, { signal }), reason)
      const controller = new AbortController()
      const saving = model.saveState(file, { signal: controller.signal })
      controller.abort(reason)
      await saving.catch((error) => assert.equal(error, reason))
      assert.deepEqual(readdirSync(folder).filter((name) => !before.includes(name) && name !== path.basename(file)), [])
    })
  })
}

describe('saved conversations', () => {
  test('go on in another process', async () => {
    const model = await openTiny()
    const { text, usage } = await model.chat(QUESTION, GREEDY)
    const file = newFile()
    const { tokens } = await model.saveState(file)
    const talk = [...QUESTION, assistant(text), user('What is the capital of Italy?')]
    const expected = (await model.chat(talk, GREEDY)).text
    await model.close()
    const { end, stdout } = await run('state', [file, JSON.stringify(talk)], { limitMs: 60_000 })
    assert.equal(end, 'exit 0')
    assert.deepEqual(JSON.parse(stdout), { tokens, text: expected, cachedTokens: tokens })
    assert.ok(tokens > usage.promptTokens)
  })

  test('are of one model, one kind of cache and a context that holds them', async () => {
    const model = await openTiny()
    await model.chat(QUESTION, GREEDY)
    const file = newFile()
    await model.saveState(file)
    await model.close()
    const part = async (opening) => {
      const other = await opening
      const error = await other.loadState(file).then(() => assert.fail('it was loaded'), (error) => error)
      await other.close()
      return [error.code, error.details.part]
    }
    assert.deepEqual(await part(openTiny({ kvCacheType: 'q8_0' })), ['model-invalid', 'cells'])
    assert.deepEqual(await part(openTiny({ flashAttention: false })), ['model-invalid', 'cells'])
    assert.deepEqual(await part(openTiny({ contextSize: 16 })), ['context-exceeded', undefined])
    assert.deepEqual(await part(loadModel(microModelPath())), ['model-invalid', 'model'])
  })

  test('of a child that has died are loaded into the next one', async () => {
    const model = await openTiny({ isolate: true })
    await model.chat(QUESTION, GREEDY)
    const file = newFile()
    const { tokens } = await model.saveState(file)
    const [child] = engineProcesses()
    process.kill(child, 'SIGKILL')
    // The first one to notice may be lost with it.
    const loaded = await model.loadState(file).catch(({ code }) => (assert.equal(code, 'engine-failed'), model.loadState(file)))
    assert.deepEqual(loaded, { tokens })
    assert.equal(cachedTokens(await model.chat(QUESTION, GREEDY)), (await model.chat(QUESTION, GREEDY)).usage.promptTokens - 1)
    await model.close()
  })

  test('may be reached and replaced while others are answered', async () => {
    const model = await openTiny()
    await model.chat(QUESTION, GREEDY)
    const file = newFile()
    const answers = [1, 2, 3].map((n) => model.chat([user(`Count from ${n} to 21.`)], { ...GREEDY, ignoreEos: true, maxTokens: 100 }))
    const saved = await Promise.all(Array.from({ length: 8 }, () => model.saveState(file, { prompt: QUESTION })))
    await Promise.all(Array.from({ length: 8 }, (_, at) => model.loadState(file, { tenant: `t${at}` })))
    assert.equal(new Set(saved.map(({ tokens }) => tokens)).size, 1)
    for (const { usage } of await Promise.all(answers)) assert.equal(usage.completionTokens, 100)
    await model.close()
    await assert.rejects(model.saveState(file), isError('closed'))
  })

  test('are none where nothing is kept of ended requests', async () => {
    const refuses = async (opening, message) => {
      const model = await opening
      await assert.rejects(model.saveState(newFile()), isError('unsupported', message))
      await assert.rejects(model.loadState(newFile()), isError('unsupported', message))
      await model.close()
    }
    await refuses(openTiny({ contextOverflow: 'shift' }), /contextOverflow: 'shift'/)
    await refuses(openTiny({ embedding: true }), /it only reads/)
    await refuses(loadModel(standinModelPath(), { libraryPath: standinLibrary('1.3') }), /promptCache.*loadPromptCache/)
  })

  test('have options that are checked', async () => {
    const model = await openTiny()
    const isWrong = isError('invalid-request')
    for (const options of [{ prompt: 5 }, { prompt: [] }, { prompt: '' }, { tenant: 5 }, { signal: 5 }, { tenants: 'a' }]) {
      await assert.rejects(model.saveState(newFile(), options), isWrong, JSON.stringify(options))
    }
    for (const wrong of ['', 5, `${folder}/a\0b`]) {
      await assert.rejects(model.saveState(wrong), isWrong)
      await assert.rejects(model.loadState(wrong), isWrong)
    }
    await assert.rejects(model.saveState(newFile(), { tenant: 'é'.repeat(129) }), isError('invalid-request', /tenant holds at most 256 bytes/))
    await assert.rejects(model.saveState(newFile(), { prompt: [{ role: 'nobody', content: '' }] }), isWrong)
    await assert.rejects(model.saveState(newFile()), isError('not-found'))
    await model.close()
  })

  test('that find the disk full leave no file', async () => {
    const own = path.join(folder, 'full')
    mkdirSync(own)
    const program = `
      const { loadModel, bundledModelPath } = require('rkllmjs')
      const main = async () => {
        const model = await loadModel(bundledModelPath(), { threads: 1 })
        await model.generate('Once upon a time there was a lion', { maxTokens: 40, ignoreEos: true })
        await model.saveState(${JSON.stringify(path.join(own, 'a.state'))})
      }
      main().then(() => console.log('done'), ({ code, message }) => console.log(code, message))`
    // The shell's limit on the size of a file stands in for the end of the disk; it counts blocks of 1 KiB.
    const command = ['-c', 'ulimit -f 8; exec "$0" -e "$1"', process.execPath, program]
    const { stdout, stderr } = spawnSync('bash', command, { cwd: path.dirname(import.meta.dirname), encoding: 'utf8' })
    assert.match(stdout, /^engine-failed .*a\.state cannot be written: .*make room and try again/, stderr)
    assert.deepEqual(readdirSync(own), [])
  })

  test('take the place of a file, and of a link to one', async () => {
    const model = await openTiny()
    await model.chat(QUESTION, GREEDY)
    const inside = path.join(folder, 'inside')
    mkdirSync(inside)
    const [file, link] = [path.join(inside, 'a.state'), path.join(inside, 'link.state')]
    writeFileSync(file, 'something else')
    symlinkSync(file, link)
    await model.saveState(link)
    await model.saveState(file)
    assert.deepEqual(readdirSync(inside).sort(), ['a.state', 'link.state'])
    assert.deepEqual(await model.loadState(link), await model.loadState(file))
    await model.close()
  })
})

describe('hostCacheBytes', () => {
  const CRAMPED = { contextSize: 256, kvCells: 256, maxSequences: 2 }
  /** A prompt of 150 tokens about a subject. */
  const about = (subject) => Uint32Array.from({ length: 150 }, (_, at) => 300 + ((at * 7 + subject * 31) % 600))
  const ask = (model, subject, options) => model.generate(about(subject), { ...GREEDY, maxTokens: 10, ignoreEos: true, ...options })

  for (const isolate of [false, true]) {
    test(`brings talks in turns back ${isolate ? 'to another process' : 'to a cache'} that is too small for them`, async () => {
      const model = await openTiny({ ...CRAMPED, isolate, hostCacheBytes: 64 << 20 })
      const texts = []
      for (const subject of [1, 2, 3]) {
        const { text, usage } = await ask(model, subject)
        assert.equal(usage.cachedTokens, 0)
        texts.push(text)
      }
      const { hostPrefixes, hostTokens, hostBytes } = model.stats()
      assert.deepEqual([hostPrefixes, hostTokens], [2, 2 * 159])
      assert.ok(hostBytes > hostTokens * 100, `${hostBytes} bytes`)
      for (const subject of [1, 2, 3, 1, 2, 3]) {
        const { text, usage } = await ask(model, subject)
        assert.equal(usage.cachedTokens, 149)
        assert.equal(text, texts[subject - 1])
      }
      assert.equal(cachedTokens(await ask(model, 1, { tenant: 'other' })), 0)
      const { tokens } = await model.saveState(newFile(), { prompt: about(2) })
      assert.equal(tokens, 150, 'from memory')
      await model.close()
    })
  }

  test('is off by default', async () => {
    const model = await openTiny(CRAMPED)
    for (const subject of [1, 2, 3, 1, 2, 3]) assert.equal(cachedTokens(await ask(model, subject)), 0)
    const { hostPrefixes, hostTokens, hostBytes } = model.stats()
    assert.deepEqual([hostPrefixes, hostTokens, hostBytes], [0, 0, 0])
    await model.close()
  })

  test('holds no more than it may', async () => {
    const model = await openTiny({ ...CRAMPED, hostCacheBytes: 64 << 20 })
    await ask(model, 1)
    await ask(model, 2)
    const { hostBytes } = model.stats()
    await model.close()
    const small = await openTiny({ ...CRAMPED, hostCacheBytes: Math.floor(2.5 * hostBytes) })
    for (const subject of [1, 2, 3, 4, 5]) await ask(small, subject)
    assert.equal(small.stats().hostBytes, 2 * hostBytes)
    assert.equal(cachedTokens(await ask(small, 1)), 0)
    await small.close()
  })

  test('is refused where it would do nothing or there is no such memory', async () => {
    const refused = isError('unsupported', /^hostCacheBytes/)
    await assert.rejects(openTiny({ hostCacheBytes: 1, contextOverflow: 'shift' }), refused)
    await assert.rejects(openTiny({ hostCacheBytes: 1, embedding: true }), refused)
    const npu = loadModel(standinModelPath(), { libraryPath: standinLibrary('1.3'), hostCacheBytes: 1 })
    await assert.rejects(npu, refused)
    await assert.rejects(openTiny({ hostCacheBytes: 2 ** 40 }), isError('insufficient-memory', /hostCacheBytes/))
    for (const wrong of [-1, 0.5, 2 ** 41, NaN]) {
      await assert.rejects(openTiny({ hostCacheBytes: wrong }), isError('invalid-request', /hostCacheBytes/))
    }
  })
})

// Sound in messages: models and projectors with random weights, so that what they say means nothing, but is the same
// every time.
import assert from 'node:assert/strict'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import { after, before, describe, test } from 'node:test'
import { pathToFileURL } from 'node:url'
import { loadModel } from 'rkllmjs'
import { isError } from './support/expect.mjs'
import { GREEDY, WITH_LOGPROBS, ask, asking, assertSame } from './support/media.mjs'
import { plain } from './support/png.mjs'
import { flac, silentMp3, wav, wavOf } from './support/sound.mjs'
import { syntheticModel } from './support/synthetic.mjs'

const folder = mkdtempSync(path.join(os.tmpdir(), 'rkllmjs-audio-'))
after(() => rmSync(folder, { recursive: true, force: true }))

const file = (name, bytes) => {
  const place = path.join(folder, name)
  writeFileSync(place, bytes)
  return place
}

/** Rows of half a minute, however little of it there is. */
const ROWS = 750

const open = (options) => loadModel(syntheticModel('micro'), { threads: 1, contextSize: 2048, mmproj: syntheticModel('projector-ultravox'), ...options })
const audio = (source) => ({ type: 'audio', audio: source })
const FRESH = { ...WITH_LOGPROBS, cachePrompt: false }

const TONE = wav(1)
const NOISE = wav(1.5, { sample: (i) => ((i * 7919) % 200) / 100 - 1 })

describe('a model with a projector for sound', () => {
  let model
  before(async () => {
    model = await open({ maxSequences: 4 })
  })
  after(() => model.close())

  test('says that it reads audio', () => assert.deepEqual(model.info.media, ['audio']))

  test('counts the rows of each half minute as tokens of the prompt', async () => {
    const tokens = async (...parts) => (await model.chat(asking('Listen: ', ...parts, ' What is it?'), GREEDY)).usage.promptTokens
    const none = await tokens('')
    assert.ok(Math.abs((await tokens(audio(TONE))) - none - ROWS) <= 2)
    assert.equal((await tokens(audio(wav(31)))) - (await tokens(audio(TONE))), ROWS)
    await assert.rejects(tokens(audio(wav(70))), isError('context-exceeded'))
  })

  test('says the same of a sound every time, and something else of another', async () => {
    const first = await ask(model, asking(audio(TONE), 'What is this?'), FRESH)
    assert.deepEqual((await ask(model, asking(audio(TONE), 'What is this?'), FRESH)).logprobs, first.logprobs)
    assert.notDeepEqual((await ask(model, asking(audio(NOISE), 'What is this?'), FRESH)).logprobs, first.logprobs)
  })

  test('takes bytes, a path, file: URLs, data URLs and what OpenAI calls input_audio', async () => {
    const tone = file('tone.wav', TONE)
    const data = `data:audio/wav;base64,${TONE.toString('base64')}`
    const expected = await ask(model, asking(audio(TONE), 'What is this?'))
    for (const part of [
      audio(new Uint8Array(TONE)),
      audio(tone),
      audio(pathToFileURL(tone)),
      audio(pathToFileURL(tone).href),
      audio(data),
      audio(new URL(data)),
      { ...audio(TONE), mediaType: 'audio/wav' },
      { type: 'input_audio', inputAudio: { data: TONE.toString('base64'), format: 'wav' } },
    ]) {
      assertSame(await ask(model, asking(part, 'What is this?')), expected, part.type)
    }
  })

  test('reads WAV of any width, rate and channels, FLAC and MP3', async () => {
    for (const sound of [
      wav(1, { rate: 44_100, channels: 2 }),
      wav(0.5, { rate: 8000 }),
      wav(0.01),
      wavOf(Buffer.alloc(16_000, 90), { bits: 8 }),
      wavOf(Buffer.from(new Float32Array(16_000).fill(0.25).buffer), { bits: 32, kind: 3 }),
      flac(2),
      silentMp3(2),
    ]) {
      const { usage } = await model.chat(asking(audio(sound), 'What is this?'), GREEDY)
      assert.ok(usage.promptTokens > ROWS)
    }
    // Two files of the same sound say the same.
    const values = (i) => (Math.floor(i / 4096) % 2) * (4000 / 32_767)
    const [a, b] = [flac(2.048), wav(2.048, { sample: values })]
    assertSame(await ask(model, asking(audio(a), '?'), FRESH), await ask(model, asking(audio(b), '?'), FRESH), 'FLAC and WAV')
  })

  test('computes sounds at once as it does one after another, and finds them in the cache', async () => {
    const conversations = [TONE, NOISE, wav(2, { rate: 22_050 }), flac(3)].map((sound) => asking('Here is ', audio(sound), ' What do you hear?'))
    const alone = []
    for (const messages of conversations) alone.push(await ask(model, messages, FRESH))
    const together = await Promise.all(conversations.map((messages) => ask(model, messages, FRESH)))
    for (const [i, found] of together.entries()) assertSame(found, alone[i], `sound ${i}`)
    const turn = conversations[1]
    const first = await ask(model, turn)
    const again = await ask(model, turn)
    assert.equal(again.usage.cachedTokens, first.usage.promptTokens - 1)
    assertSame(again, alone[1], 'from the cache')
    const { choices } = await model.chat(turn, { ...GREEDY, n: 2 })
    assert.deepEqual(choices.map((choice) => choice.text), [choices[0].text, choices[0].text])
  })

  const refusals = [
    ['text', () => Buffer.from('hello, I am text'), 'invalid-request', /messages\[0\]\.content\[1\]\.audio: is no WAV, MP3 or FLAC/],
    ['an image', () => plain(1, 2, 3), 'invalid-request', /is no WAV/],
    ['an empty file', () => file('empty.wav', ''), 'invalid-request', /is no WAV/],
    ['nothing', () => new Uint8Array(0), 'invalid-request', /is no WAV/],
    ['half a header', () => TONE.subarray(0, 30), 'invalid-request', /cannot be decoded/],
    ['a WAV without samples', () => wav(0), 'invalid-request', /empty|cannot be decoded/],
    ['65535 channels', () => wavOf(Buffer.alloc(1 << 20), { channels: 65_535 }), 'invalid-request', /65535 channels/],
    ['no channel', () => wavOf(Buffer.alloc(100), { channels: 0 }), 'invalid-request', /0 channels/],
    ['4 thousand million samples a second', () => wavOf(Buffer.alloc(100), { rate: 2 ** 32 - 1 }), 'invalid-request', /4294967295 samples/],
    ['no sample a second', () => wavOf(Buffer.alloc(100), { rate: 0 }), 'invalid-request', /0 samples a second/],
    ['numbers that are none', () => wavOf(Buffer.from(new Float32Array(16_000).fill(NaN).buffer), { bits: 32, kind: 3 }), 'invalid-request', /cannot be decoded/],
    ['an unknown coding', () => wavOf(Buffer.alloc(1000), { kind: 0x1234 }), 'invalid-request', /cannot be decoded/],
    ['eleven minutes', () => wavOf(Buffer.alloc(8000 * 660, 128), { rate: 8000, bits: 8 }), 'payload-too-large', /longer than 600 seconds/],
    ['hours of silence', () => flac(3 * 3600), 'payload-too-large', /longer than 600 seconds/],
    ['a FLAC that promises years', () => flac(1, { total: 2 ** 35 }), 'payload-too-large', /longer than 600 seconds/],
    ['a FLAC that ends in its header', () => flac(1).subarray(0, 20), 'invalid-request', /cannot be decoded/],
    ['a FLAC of garbage', () => Buffer.concat([flac(0), Buffer.alloc(50_000, 0xa7)]), 'invalid-request', /cannot be decoded/],
    ['an MP3 that ends in its header', () => silentMp3(1).subarray(0, 3), 'invalid-request', /cannot be decoded/],
    ['21 MiB', () => Buffer.alloc(21 * 2 ** 20), 'payload-too-large', /the audio has 22020096 bytes, at most 20971520/],
    ['a file of 21 MiB', () => file('large.wav', Buffer.alloc(21 * 2 ** 20)), 'payload-too-large', /at most 20971520/],
    ['a file that is not there', () => path.join(folder, 'none.wav'), 'invalid-request', /none\.wav cannot be read/],
    ['a device', () => '/dev/zero', 'invalid-request', /no regular file/],
    ['an http URL', () => 'http://169.254.169.254/latest', 'unsupported', /fetch it first/],
    ['a number', () => 7, 'invalid-request', /must be a Uint8Array, a data URL, a path/],
  ]
  for (const [what, source, code, message] of refusals) {
    test(`refuses ${what} within a second, and lives on`, async () => {
      const given = source()
      const began = performance.now()
      await assert.rejects(model.chat(asking('What is ', audio(given)), GREEDY), isError(code, message))
      assert.ok(performance.now() - began < 1000)
    })
  }

  test('survives sound that is twisted anywhere', async () => {
    for (const whole of [wav(0.05, { channels: 2 }), flac(0.5), silentMp3(0.2)]) {
      for (let i = 0; i < 60; i++) {
        const twisted = Buffer.from(whole)
        twisted[(i * 7919) % Math.min(twisted.length, 200)] ^= 1 << i % 8
        const answer = model.chat(asking(audio(twisted)), { ...GREEDY, maxTokens: 1 })
        await answer.then(() => {}, (error) => assert.ok(['invalid-request', 'payload-too-large'].includes(error.code), error.message))
      }
    }
  })

  test('refuses images, other places and what is no input_audio', async () => {
    const chat = (content, role = 'user') => model.chat([{ role, content }], GREEDY)
    await assert.rejects(chat([{ type: 'image', image: plain(1, 2, 3) }]), isError('unsupported', /content\[0\]\.image: image cannot be read: .* audio alone/))
    await assert.rejects(chat([audio(TONE)], 'system'), isError('invalid-request', /only messages of the user/))
    await assert.rejects(chat([{ ...audio(TONE), mediaType: 'image/png' }]), isError('invalid-request', /mediaType must begin with "audio\/"/))
    const input = (inputAudio) => [{ type: 'input_audio', inputAudio }]
    await assert.rejects(chat(input()), isError('invalid-request', /inputAudio must be an object/))
    await assert.rejects(chat(input({ data: TONE, format: 'wav' })), isError('invalid-request', /inputAudio\.data must be a string/))
    await assert.rejects(chat(input({ data: '', format: 'ogg' })), isError('invalid-request', /format must be one of wav, mp3, flac/))
    await assert.rejects(chat(input({ data: '%%', format: 'wav' })), isError('invalid-request', /no whole base64/))
    assert.throws(() => model.countTokens(asking(audio(TONE))), isError('unsupported', /audio/))
    await assert.rejects(model.saveState(path.join(folder, 's'), { prompt: asking(audio(TONE)) }), isError('unsupported', /audio/))
  })
})

describe('sound', () => {
  test('is refused by a projector for images, and by a model without any', async () => {
    const seeing = await open({ mmproj: syntheticModel('projector') })
    assert.deepEqual(seeing.info.media, ['image'])
    await assert.rejects(seeing.chat(asking(audio(TONE))), isError('unsupported', /audio cannot be read: .* image alone/))
    await seeing.close()
    const deaf = await loadModel(syntheticModel('micro'), { threads: 1 })
    await assert.rejects(deaf.chat(asking(audio(TONE))), isError('unsupported', /mmproj must be given/))
    await deaf.close()
  })

  test('is read with another head, and by a model whose tokens have places in two dimensions', async () => {
    for (const [base, projector] of [['micro', 'projector-qwen2audio'], ['micro-placed', 'projector-ultravox']]) {
      const model = await loadModel(syntheticModel(base), { threads: 1, contextSize: 2048, mmproj: syntheticModel(projector) })
      const first = await ask(model, asking('Listen: ', audio(TONE), '?'), FRESH)
      assertSame(await ask(model, asking('Listen: ', audio(TONE), '?')), first, base)
      assertSame(await ask(model, asking('Listen: ', audio(TONE), '?')), first, `${base} from the cache`)
      assert.notDeepEqual((await ask(model, asking('Listen: ', audio(NOISE), '?'), FRESH)).logprobs, first.logprobs)
      await model.close()
    }
  })

  test('stops when its model is closed', async () => {
    const model = await open()
    const answers = Array.from({ length: 6 }, (_, i) => model.chat(asking(audio(wav(20, { rate: 16_000 + i }))), { ...GREEDY, maxTokens: 200 }))
    await model.close()
    for (const answer of answers) assert.ok(['cancelled', 'stop', 'length'].includes((await answer).finishReason))
  })
})

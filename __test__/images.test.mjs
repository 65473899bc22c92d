// Images in messages: a projector with random weights, so that what a model says of an image means nothing, but is the
// same every time.
import assert from 'node:assert/strict'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import { after, before, describe, test } from 'node:test'
import { pathToFileURL } from 'node:url'
import { bundledModelPath, loadModel } from 'rkllmjs'
import { isError, user } from './support/expect.mjs'
import { GREEDY, WITH_LOGPROBS, ask, asking, assertSame } from './support/media.mjs'
import { openTiny } from './support/models.mjs'
import { plain, png, promised } from './support/png.mjs'
import { syntheticModel } from './support/synthetic.mjs'

const folder = mkdtempSync(path.join(os.tmpdir(), 'rkllmjs-images-'))
after(() => rmSync(folder, { recursive: true, force: true }))

const file = (name, bytes) => {
  const place = path.join(folder, name)
  writeFileSync(place, bytes)
  return place
}

/** As wide as the bundled model's embeddings. */
const mmproj = () => syntheticModel('projector', '--width', '256')
const gemma3 = () => syntheticModel('projector-gemma3', '--width', '256')
/** Rows of an image of that projector. */
const ROWS = 16

const RED = plain(255, 0, 0)
const BLUE = plain(0, 0, 255)
const STRIPES = png(64, 48, (x, y) => (x % 8 < 4 ? [255, 255, 255] : [0, y * 5, 0]))

const image = (source) => ({ type: 'image', image: source })

describe('a model with a projector', () => {
  let model
  before(async () => {
    model = await openTiny({ mmproj: mmproj() })
  })
  after(() => model.close())

  test('says that it reads images, and one without does not', async () => {
    assert.deepEqual(model.info.media, ['image'])
    const blind = await openTiny()
    assert.deepEqual(blind.info.media, [])
    assert.ok(model.info.memory.weightsBytes > blind.info.memory.weightsBytes)
    await blind.close()
  })

  test('answers, and counts the rows of images as tokens of the prompt', async () => {
    const one = await ask(model, asking('Look at ', image(RED), ' and tell me its colour.'))
    const two = await ask(model, asking('Look at ', image(RED), image(BLUE), ' and tell me its colour.'))
    assert.ok(one.said.length > 0 && one.usage.completionTokens > 0)
    assert.equal(two.usage.promptTokens - one.usage.promptTokens, ROWS)
  })

  test('says the same of an image every time, and something else of another', async () => {
    const options = { ...WITH_LOGPROBS, cachePrompt: false }
    const [first, again, other] = [
      await ask(model, asking(image(RED), 'What is this?'), options),
      await ask(model, asking(image(RED), 'What is this?'), options),
      await ask(model, asking(image(STRIPES), 'What is this?'), options),
    ]
    assert.deepEqual(again.logprobs, first.logprobs)
    assert.notDeepEqual(other.logprobs, first.logprobs)
  })

  test('takes bytes, a path, a file: URL and data URLs', async () => {
    const red = file('red.png', RED)
    const data = `data:image/png;base64,${RED.toString('base64')}`
    const expected = await ask(model, asking(image(RED), 'What is this?'))
    for (const part of [
      image(new Uint8Array(RED)),
      image(red),
      image(path.relative(process.cwd(), red)),
      image(pathToFileURL(red)),
      image(pathToFileURL(red).href),
      image(data),
      image(new URL(data)),
      { ...image(RED), mediaType: 'image/png' },
      { type: 'image_url', imageUrl: { url: data } },
    ]) {
      assertSame(await ask(model, asking(part, 'What is this?')), expected, part.type)
    }
  })

  test('computes different images at once as it does one after another', async () => {
    const conversations = [RED, BLUE, STRIPES, plain(0, 200, 100)].map((bytes) =>
      asking('Here is an image: ', image(bytes), ' What do you see?'),
    )
    const options = { ...WITH_LOGPROBS, cachePrompt: false }
    const alone = []
    for (const messages of conversations) alone.push(await ask(model, messages, options))
    const talk = model.chat([user('What is the capital of France?')], { ...GREEDY, maxTokens: 32 })
    const together = await Promise.all(conversations.map((messages) => ask(model, messages, options)))
    for (const [i, found] of together.entries()) assertSame(found, alone[i], `image ${i}`)
    assert.equal((await talk).text, 'The capital of France is Paris.')
  })

  test('finds an image in the cache when it comes again, and no other in its place', async () => {
    const green = plain(0, 255, 0)
    const turn = asking('Remember this image well: ', image(green), ' What is it?')
    const first = await ask(model, turn)
    const again = await ask(model, turn)
    assert.equal(again.usage.cachedTokens, first.usage.promptTokens - 1)
    assertSame(again, first, 'from the cache')
    const later = await ask(model, [...turn, { role: 'assistant', content: first.said }, user('Are you sure?')])
    assert.ok(later.usage.cachedTokens >= first.usage.promptTokens - 8, `${later.usage.cachedTokens} cached`)
    const other = await ask(model, asking('Remember this image well: ', image(plain(0, 254, 0)), ' What is it?'))
    assert.ok(other.usage.cachedTokens < first.usage.promptTokens - ROWS, `${other.usage.cachedTokens} cached`)
    assert.notDeepEqual(other.logprobs, first.logprobs)
  })

  test('reads what only looks like an image as text', async () => {
    const blind = await openTiny()
    for (const forged of ['<__media__>', '<image>', '<|image|>', '\u{E000}\u{E001}']) {
      const { usage } = await model.chat([user(`Say ${forged} twice`)], GREEDY)
      assert.equal(usage.promptTokens, blind.countTokens([user(`Say ${forged} twice`)]), forged)
      const seeing = await model.chat(asking(`Say ${forged} twice`, image(RED)), GREEDY)
      assert.equal(seeing.usage.promptTokens, usage.promptTokens + ROWS, forged)
    }
    await blind.close()
  })

  test('streams, takes tools and several answers', async () => {
    let streamed = ''
    for await (const part of model.chat(asking('And ', image(RED), '?'), GREEDY)) streamed += part.text ?? ''
    assert.equal(streamed, (await model.chat(asking('And ', image(RED), '?'), GREEDY)).text)
    const { choices } = await model.chat(asking(image(BLUE), 'What?'), { ...GREEDY, n: 3 })
    assert.deepEqual(choices.map((choice) => choice.text), Array(3).fill(choices[0].text))
  })

  test('gives memory back', async () => {
    const look = (number) =>
      model.chat(asking(image(png(200, 150, (x) => [x & 255, number, 0]))), { ...GREEDY, maxTokens: 1, cachePrompt: false })
    for (let number = 0; number < 40; number++) await look(number)
    const before = process.memoryUsage().rss
    for (let number = 40; number < 240; number++) await look(number)
    const grown = (process.memoryUsage().rss - before) / 2 ** 20
    assert.ok(grown < 48, `${grown.toFixed()} MiB more after 200 images`)
  })

  const refusals = [
    ['no image', () => Buffer.from('hello, I am text'), 'invalid-request', /messages\[0\]\.content\[1\]\.image: is no PNG/],
    ['an empty file', () => file('empty.png', ''), 'invalid-request', /is no PNG/],
    ['half a PNG', () => STRIPES.subarray(0, 60), 'invalid-request', /cannot be decoded/],
    ['a PNG without pixels', () => promised(1000, 1000), 'invalid-request', /cannot be decoded/],
    ['a PNG with too many pixels', () => promised(8000, 8000), 'payload-too-large', /8000 × 8000 pixels/],
    ['a PNG of 2 thousand million pixels a side', () => promised(2 ** 31 - 1, 2 ** 31 - 1), 'payload-too-large'],
    ['a line', () => promised(5000, 1), 'invalid-request', /100 times the other/],
    ['21 MiB', () => Buffer.alloc(21 * 2 ** 20), 'payload-too-large', /at most 20971520/],
    ['a file of 21 MiB', () => file('large.png', Buffer.alloc(21 * 2 ** 20)), 'payload-too-large', /at most 20971520/],
    ['a file that is not there', () => path.join(folder, 'none.png'), 'invalid-request', /none\.png cannot be read/],
    ['a folder', () => folder, 'invalid-request', /no regular file/],
    ['a device', () => '/dev/zero', 'invalid-request', /no regular file/],
    ['an http URL', () => 'http://169.254.169.254/latest', 'unsupported', /fetch it first/],
    ['an https URL', () => new URL('https://example.com/a.png'), 'unsupported', /fetch it first/],
    ['half a data URL', () => 'data:image/png;base64', 'invalid-request', /must be a data URL in base64/],
    ['a data URL that is no base64', () => 'data:image/png;base64,%%%%', 'invalid-request', /no whole base64/],
    ['a data URL that is too long', () => `data:;base64,${'A'.repeat(29 * 2 ** 20)}`, 'payload-too-large'],
    ['a number', () => 7, 'invalid-request', /must be a Uint8Array, a data URL, a path/],
  ]
  for (const [what, source, code, message] of refusals) {
    test(`refuses ${what} within a second, and lives on`, async () => {
      const given = source()
      const began = performance.now()
      await assert.rejects(model.chat(asking('What is ', image(given)), GREEDY), isError(code, message))
      assert.ok(performance.now() - began < 1000)
    })
  }

  test('refuses other parts, other places and paths in image_url', async () => {
    const chat = (content, role = 'user') => model.chat([{ role, content }], GREEDY)
    await assert.rejects(chat([{ type: 'audio', audio: RED }]), isError('unsupported', /audio/))
    await assert.rejects(chat([{ type: 'video' }]), isError('invalid-request', /must be one of text, image, image_url/))
    await assert.rejects(chat([image(RED)], 'system'), isError('invalid-request', /only messages of the user/))
    const url = (url) => [{ type: 'image_url', imageUrl: { url } }]
    await assert.rejects(chat(url('/etc/passwd')), isError('invalid-request', /must be a data URL/))
    await assert.rejects(chat(url('file:///etc/passwd')), isError('unsupported', /"file", which is not fetched/))
    await assert.rejects(chat([{ type: 'image_url', image_url: { url: 'x' } }]), isError('invalid-request', /imageUrl must be an object/))
    await assert.rejects(chat([{ ...image(RED), mediaType: 'text/html' }]), isError('invalid-request', /mediaType/))
    const many = Array.from({ length: 65 }, () => image(RED))
    await assert.rejects(chat(many), isError('invalid-request', /at most 64/))
    const large = Array.from({ length: 4 }, () => image(Buffer.alloc(19 * 2 ** 20)))
    await assert.rejects(chat(large), isError('payload-too-large', /images and sounds of the conversation/))
    assert.throws(() => model.countTokens(asking(image(RED))), isError('unsupported', /images/))
    assert.throws(() => model.applyChatTemplate(asking(image(RED))), isError('unsupported', /images/))
    await assert.rejects(model.saveState(path.join(folder, 's'), { prompt: asking(image(RED)) }), isError('unsupported', /images/))
  })

  test('does not save what the cache holds of images', async () => {
    await model.chat(asking('Once more, this image: ', image(RED)), GREEDY)
    await assert.rejects(model.saveState(path.join(folder, 'state')), isError('unsupported', /images/))
  })
})

/** Random weights whose tokens have places in two dimensions, and a projector for images of any shape. */
const openPlaced = (options) => loadModel(syntheticModel('micro-placed'), { threads: 1, mmproj: syntheticModel('projector-qwen2vl'), ...options })

describe('a model whose images have two dimensions', () => {
  let model
  before(async () => {
    model = await openPlaced({ contextSize: 1024, maxSequences: 8 })
  })
  after(() => model.close())

  const picture = (width, height, shade = 0) => png(width, height, (x, y) => [(x * 3 + shade) & 255, (y * 2) & 255, shade])
  const FRESH = { ...WITH_LOGPROBS, cachePrompt: false }

  test('takes as many tokens for an image as it is large, in any shape', async () => {
    const rows = async (...parts) => (await model.chat(asking('Look: ', ...parts), GREEDY)).usage.promptTokens
    const text = await rows(image(picture(16, 128)))
    // A row stands for sixteen by sixteen pixels.
    assert.equal((await rows(image(picture(64, 48)))) - text, 12 - 8)
    assert.equal((await rows(image(picture(48, 64)))) - text, 12 - 8)
    assert.equal((await rows(image(picture(320, 160)))) - text, 200 - 8)
    // At most half of the context: a larger one is scaled down.
    const large = (await rows(image(picture(2000, 1500)))) - text + 8
    assert.ok(large <= 512 && large > 400, `${large} rows`)
  })

  test('says the same with the cache and without it, alone and beside others', async () => {
    const conversations = [[64, 48], [48, 64], [200, 40], [30, 300]].map(([width, height], i) =>
      asking('Here is ', image(picture(width, height, i * 50)), ' and here ', image(picture(height, width, 9)), ' What do you see?'),
    )
    const alone = []
    for (const messages of conversations) alone.push(await ask(model, messages, FRESH))
    const together = await Promise.all(conversations.map((messages) => ask(model, messages, FRESH)))
    for (const [i, found] of together.entries()) assertSame(found, alone[i], `conversation ${i} beside others`)
    const sharing = await Promise.all(conversations.map((messages) => ask(model, messages)))
    for (const [i, found] of sharing.entries()) assertSame(found, alone[i], `conversation ${i} with the cache`)
    for (const [i, messages] of conversations.entries()) {
      const again = await ask(model, messages)
      assertSame(again, alone[i], `conversation ${i} from the cache`)
      assert.equal(again.usage.cachedTokens, again.usage.promptTokens - 1)
    }
  })

  test('tells apart what only stands in another place', async () => {
    const [wide, high] = [picture(96, 32), picture(32, 96)]
    const first = await ask(model, asking(image(wide), image(high), '?'), FRESH)
    const other = await ask(model, asking(image(high), image(wide), '?'), FRESH)
    assert.equal(first.usage.promptTokens, other.usage.promptTokens)
    assert.notDeepEqual(first.logprobs, other.logprobs)
  })

  test('goes on with a conversation where several answers begin alike', async () => {
    const turn = asking('Remember ', image(picture(120, 90)), ' well')
    const first = await ask(model, turn)
    const more = [...turn, { role: 'assistant', content: first.said }, ...asking('And ', image(picture(90, 120)), '?')]
    const expected = await ask(model, more, FRESH)
    const found = await ask(model, more)
    assertSame(found, expected, 'the second turn')
    assert.ok(found.usage.cachedTokens >= first.usage.promptTokens - 8, `${found.usage.cachedTokens} cached`)
    const { choices } = await model.chat(more, { ...GREEDY, n: 3 })
    assert.deepEqual(choices.map((choice) => choice.text), Array(3).fill(choices[0].text))
  })

  test('computes an image again where it was stopped in the midst of it', async () => {
    const small = await openPlaced({ contextSize: 2048, maxSequences: 2, batchSize: 32 })
    const messages = asking('Look: ', image(picture(640, 320)), ' What is it?')
    const expected = await ask(small, messages, FRESH)
    for (let i = 0; i < 6; i++) {
      const stopped = small.chat(messages, GREEDY)
      await new Promise((resolve) => setTimeout(resolve, 4 * i))
      stopped.cancel()
      await stopped
    }
    assertSame(await ask(small, messages), expected, 'after answers that were stopped')
    await small.close()
  })

  test('is told what it cannot do', async () => {
    await assert.rejects(openPlaced({ contextOverflow: 'shift' }), isError('unsupported', /cannot drop tokens/))
    await model.chat(asking('Once more, this image: ', image(picture(64, 64))), GREEDY)
    await assert.rejects(model.saveState(path.join(folder, 'placed')), isError('unsupported', /images/))
    const blind = await loadModel(syntheticModel('micro-placed'), { threads: 1 })
    const said = await blind.chat([user('Hello')], GREEDY)
    assert.ok(said.usage.completionTokens > 0, 'without a projector it reads text')
    await assert.rejects(blind.chat(asking(image(RED))), isError('unsupported', /mmproj must be given/))
    await blind.close()
  })

  for (const [projector, base, width] of [['projector-qwen25vl', 'micro-placed', '64'], ['projector-qwen3vl', 'micro-deep', '128']]) {
    test(`reads images with ${projector}`, async () => {
      const other = await loadModel(syntheticModel(base), { threads: 1, contextSize: 512, mmproj: syntheticModel(projector, '--width', width) })
      const first = await ask(other, asking('Look: ', image(picture(96, 64)), '?'), FRESH)
      assertSame(await ask(other, asking('Look: ', image(picture(96, 64)), '?')), first, projector)
      const another = await ask(other, asking('Look: ', image(picture(96, 64, 200)), '?'), FRESH)
      assert.notDeepEqual(another.logprobs, first.logprobs)
      await other.close()
    })
  }
})

describe('a projector', () => {
  test('whose rows see each other answers as well', async () => {
    const model = await openTiny({ mmproj: gemma3() })
    const first = await ask(model, asking('Look: ', image(RED), ' What is it?'))
    const other = await ask(model, asking('Look: ', image(STRIPES), ' What is it?'))
    assert.notDeepEqual(other.logprobs, first.logprobs)
    const together = await Promise.all([RED, STRIPES].map((bytes) => ask(model, asking('Look: ', image(bytes), ' What is it?'))))
    assertSame(together[0], first, 'red')
    assertSame(together[1], other, 'stripes')
    await model.close()
  })

  test('goes together with a draft model and with a context that shifts', async () => {
    const draftModel = path.join(path.dirname(bundledModelPath()), 'rkllmjs-tiny-draft-q8_0.gguf')
    const model = await openTiny({ mmproj: mmproj(), draftModel, contextSize: 64, contextOverflow: 'shift', maxSequences: 1 })
    const { usage, finishReason } = await model.chat(asking(image(RED), 'Count.'), { temperature: 0, maxTokens: 120, ignoreEos: true })
    assert.equal(finishReason, 'length')
    assert.equal(usage.completionTokens, 120)
    assert.equal(usage.draftTokens ?? 0, 0)
    await model.close()
  })

  test('makes no more rows than the context holds', async () => {
    const model = await openTiny({ mmproj: mmproj(), contextSize: 48 })
    const images = Array.from({ length: 4 }, (_, i) => image(plain(i, 0, 0)))
    await assert.rejects(model.chat(asking(...images), GREEDY), (error) => {
      assert.deepEqual([error.code, error.details.contextSize], ['context-exceeded', 48])
      return true
    })
    await model.close()
  })

  test('stops when its model is closed', async () => {
    const model = await openTiny({ mmproj: mmproj() })
    const answers = Array.from({ length: 12 }, (_, i) => model.chat(asking(image(plain(i, i, i, 400))), { ...GREEDY, maxTokens: 400 }))
    await model.close()
    for (const answer of answers) assert.ok(['cancelled', 'stop', 'length'].includes((await answer).finishReason))
  })

  const broken = [
    ['of another width', () => syntheticModel('projector'), 'unsupported', /64 numbers, and the model reads 256/],
    ['that is a model', () => bundledModelPath(), 'unsupported', /no projector/],
    ['that is garbage', () => file('garbage.gguf', Buffer.alloc(1000, 7)), 'model-invalid'],
    ['that is not there', () => path.join(folder, 'none.gguf'), 'model-not-found'],
  ]
  for (const [what, source, code, message] of broken) {
    test(`${what} is refused at the load`, async () => {
      await assert.rejects(openTiny({ mmproj: source() }), isError(code, message))
    })
  }

  test('is no model', async () => {
    await assert.rejects(loadModel(mmproj()), isError('unsupported', /name it as mmproj/))
  })

  test('is refused where it cannot work', async () => {
    await assert.rejects(openTiny({ mmproj: mmproj(), isolate: true }), isError('unsupported', /mmproj/))
    await assert.rejects(openTiny({ mmproj: mmproj(), embedding: true }), isError('unsupported', /mmproj/))
    await assert.rejects(openTiny({ mmproj: 7 }), isError('invalid-request', /mmproj must be a path/))
  })

  test('is asked for by a model that was loaded without', async () => {
    const model = await openTiny()
    await assert.rejects(model.chat(asking(image(RED))), isError('unsupported', /mmproj must be given when the model is loaded/))
    await model.close()
  })
})

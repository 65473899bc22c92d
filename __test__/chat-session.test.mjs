// ChatSession: history, room in the context, branches, files; and that the engine computes only what is new.
import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { existsSync, mkdirSync, mkdtempSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { pathToFileURL } from 'node:url'
import { after, before, describe, test } from 'node:test'
import { z } from 'zod'
import { ChatSession, loadModel, tool } from 'rkllmjs'
import { standinLibrary, standinModelPath } from 'rkllmjs/standin'

import { call, scripted, scriptedWithin } from './mock/scripted.mjs'
import { nativeError } from './mock/native.mjs'
import { isError, partsOf, user } from './support/expect.mjs'
import { microModelPath, openTiny } from './support/models.mjs'

const GREEDY = { temperature: 0 }
const assistant = (content) => ({ role: 'assistant', content })
const system = (content) => ({ role: 'system', content })
const cachedTokens = ({ usage }) => usage.cachedTokens

const folder = mkdtempSync(path.join(tmpdir(), 'rkllmjs-session-'))
after(() => rmSync(folder, { recursive: true }))
let files = 0
const newFile = () => path.join(folder, `${(files += 1)}.json`)

const weather = tool({ name: 'weather', input: z.object({ city: z.string() }), execute: ({ city }) => `fine in ${city}` })

describe('a session', () => {
  test('remembers what was said and sends it again', async () => {
    const { model, native } = scripted('Hello, Alice.', 'Alice.')
    const session = new ChatSession(model, { system: 'Be brief.', maxTokens: 50, seed: 1 })
    const first = await session.send('I am Alice.')
    assert.deepEqual([first.text, first.finishReason], ['Hello, Alice.', 'stop'])
    assert.deepEqual(first.turn, [user('I am Alice.'), assistant('Hello, Alice.')])
    await session.send(user('Who am I?'), { seed: 2 })
    const said = [system('Be brief.'), user('I am Alice.'), assistant('Hello, Alice.'), user('Who am I?'), assistant('Alice.')]
    assert.deepEqual(session.messages, said)
    assert.deepEqual(native.requests.map(({ messages }) => messages), [said.slice(0, 2), said.slice(0, 4)])
    assert.deepEqual(native.requests.map(({ options }) => options), [{ maxTokens: 50, seed: 1 }, { maxTokens: 50, seed: 2 }])
    assert.equal(session.turns, 2)
  })

  test('is what model.session() gives', async () => {
    const { model } = scripted('Hello.')
    const session = model.session({ system: 'Be brief.' })
    assert.ok(session instanceof ChatSession)
    assert.equal(session.model, model)
    assert.equal((await session.send('Hi')).text, 'Hello.')
  })

  test('begins with messages, of which the first may be the system’s', async () => {
    const { model } = scripted()
    const messages = [system('S'), user('a'), assistant('b')]
    assert.deepEqual(new ChatSession(model, { messages }).messages, messages)
    assert.deepEqual(new ChatSession(model, { system: 'S', messages: messages.slice(1) }).messages, messages)
    assert.deepEqual(new ChatSession(model).messages, [])
    assert.throws(() => new ChatSession(model, { system: 'T', messages }), isError('invalid-request', /both the message of the system/))
  })

  test('shares no message with anybody', async () => {
    const { model } = scripted('b')
    const given = [user('a')]
    const session = new ChatSession(model, { messages: [assistant('0')] })
    await session.send(given)
    given[0].content = 'changed'
    session.messages[0].content = 'changed'
    session.toJSON().messages[0].content = 'changed'
    assert.deepEqual(session.messages, [assistant('0'), user('a'), assistant('b')])
  })

  test('takes a turn at a time', async () => {
    const { model, native } = scripted()
    const session = new ChatSession(model)
    const first = session.send('a')
    await assert.rejects(session.send('b'), isError('invalid-request', /under way/))
    assert.throws(() => session.rewind(0), isError('invalid-request', /under way/))
    assert.deepEqual(session.fork().messages, [])
    native.generations[0].write('x').end()
    await first
    const second = session.send('c')
    native.generations[1].write('y').end()
    assert.equal((await second).text, 'y')
    assert.deepEqual(session.messages.map(({ content }) => content), ['a', 'x', 'c', 'y'])
  })

  test('can take the next turn as soon as a loop has seen the end of the last', async () => {
    const { model } = scripted('one', 'two')
    const session = new ChatSession(model)
    let next
    for await (const part of session.send('a')) if (part.type === 'finish') next = session.send('b')
    assert.equal((await next).text, 'two')
  })

  test('runs its tools and remembers the calls', async () => {
    const { model, native } = scripted({ calls: [call('c1', 'weather', { city: 'Oslo' })] }, 'Fine.', 'Bye.')
    const session = new ChatSession(model, { tools: [weather], maxSteps: 3 })
    const parts = await partsOf(session.send('How is it in Oslo?'))
    assert.ok(parts.some(({ type, content }) => type === 'tool-result' && content === 'fine in Oslo'))
    assert.deepEqual(session.messages.map(({ role }) => role), ['user', 'assistant', 'tool', 'assistant'])
    assert.equal(session.turns, 1)
    await session.send('Thanks')
    assert.equal(native.requests[2].messages.length, 5)
    assert.equal(native.requests[2].chatOptions.tools.length, 1)
  })

  test('has options that are checked', () => {
    const { model } = scripted()
    const wrong = [
      [{ system: 5 }, /^system must be a string/],
      [{ messages: 5 }, /^messages must be an array/],
      [{ messages: [{ role: 'x', content: '' }] }, /^messages\[0\]\.role must be/],
      [{ tools: [5] }, /^tools\[0\] must be made by tool\(\)/],
      [{ maxSteps: 0 }, /^maxSteps must be/],
      [{ contextStrategy: 'forget' }, /^contextStrategy must be 'error', 'drop-oldest', 'shift' or \{ summarize: function \}, got a string/],
      [{ contextStrategy: { summarize: 5 } }, /^contextStrategy must be/],
      [{ contextStrategy: 'shift' }, /takes a model that was loaded with contextOverflow: 'shift'/],
      [{ signal: new AbortController().signal }, /^unknown option "signal"/],
      [{ temprature: 1 }, /did you mean "temperature"/],
    ]
    for (const [options, message] of wrong) assert.throws(() => new ChatSession(model, options), isError('invalid-request', message))
    for (const nobody of [undefined, null, {}, 'x']) assert.throws(() => new ChatSession(nobody), isError('invalid-request', /^model must be/))
  })

  test('takes text, a message or messages and nothing else', async () => {
    const { model, native } = scripted()
    const session = new ChatSession(model)
    for (const wrong of [undefined, null, 5, [], [5], { role: 'x', content: '' }]) {
      await assert.rejects(session.send(wrong), isError('invalid-request'))
    }
    await assert.rejects(session.send('x', { tools: [] }), isError('invalid-request', /unknown option "tools"/))
    assert.equal(native.requests.length, 0)
  })
})

describe('a turn that does not end well', () => {
  test('leaves nothing when it fails', async () => {
    const { model } = scripted({ error: nativeError('overloaded', 'full') }, 'b')
    const session = new ChatSession(model)
    await assert.rejects(session.send('a'), isError('overloaded'))
    assert.deepEqual(session.messages, [])
    await session.send('a')
    assert.deepEqual(session.messages, [user('a'), assistant('b')])
  })

  test('leaves nothing when it is aborted', async () => {
    const { model, native } = scripted()
    const session = new ChatSession(model)
    const controller = new AbortController()
    const answer = session.send('a', { signal: controller.signal })
    native.generations[0].write('some')
    controller.abort('enough')
    await assert.rejects(answer, (reason) => reason === 'enough')
    assert.deepEqual(session.messages, [])
    await assert.rejects(session.send('a', { signal: controller.signal }), (reason) => reason === 'enough')
    const next = session.send('b')
    native.generations[1].write('fine').end()
    assert.equal((await next).text, 'fine')
  })

  test('stays with what was written when it is cancelled', async () => {
    const { model, native } = scripted()
    const session = new ChatSession(model)
    const answer = session.send('a')
    native.generations[0].write('so far')
    answer.cancel()
    assert.equal((await answer).finishReason, 'cancelled')
    assert.deepEqual(session.messages, [user('a'), assistant('so far')])
  })

  test('leaves nothing when it is cancelled before anything was written', async () => {
    const { model } = scripted()
    const session = new ChatSession(model)
    const answer = session.send('a')
    answer.cancel()
    assert.equal((await answer).finishReason, 'cancelled')
    assert.deepEqual(session.messages, [])
  })

  test('is over when its loop is left', async () => {
    const { model, native } = scripted()
    const session = new ChatSession(model)
    const answer = session.send('a')
    setImmediate(() => native.generations[0].write('so far').flush())
    for await (const part of answer) if (part.type === 'text-delta') break
    await answer
    assert.deepEqual(session.messages, [user('a'), assistant('so far')])
  })
})

describe('rewind() and fork()', () => {
  const said = [system('S'), user('a'), assistant('b'), user('c'), { role: 'assistant', content: '', toolCalls: [{ id: 'x', type: 'function', function: { name: 'f', arguments: '{}' } }] }, { role: 'tool', content: '1', toolCallId: 'x' }, assistant('d')]

  test('take back whole turns and say what they were', () => {
    const { model } = scripted()
    const session = new ChatSession(model, { messages: said })
    assert.equal(session.turns, 2)
    assert.deepEqual(session.rewind(), said.slice(3))
    assert.deepEqual(session.messages, said.slice(0, 3))
    assert.deepEqual(session.rewind(0), [])
    for (const wrong of [2, -1, 0.5, NaN, '1']) assert.throws(() => session.rewind(wrong), isError('invalid-request', /^turns must be a whole number from 0 to 1/))
    session.rewind(1)
    assert.deepEqual(session.messages, [system('S')])
  })

  test('make sessions that go their own ways', async () => {
    const { model } = scripted('left', 'right')
    const session = new ChatSession(model, { messages: said, maxTokens: 5 })
    const fork = session.fork()
    await session.send('one')
    await fork.send('two')
    fork.rewind(2)
    assert.deepEqual(session.messages, [...said, user('one'), assistant('left')])
    assert.deepEqual(fork.messages, said.slice(0, 3))
  })
})

describe('a full context', () => {
  // Every message is a token, an answer may have 4: 12 are left of a context of 16.
  const options = { maxTokens: 4 }
  const filled = (turns) => Array.from({ length: turns }, (_, at) => [user(`q${at}`), assistant(`a${at}`)]).flat()
  const sent = ({ requests }) => requests.at(-1).messages.map(({ content }) => content)

  test('is an error unless something else was asked for', async () => {
    const { model, native } = scriptedWithin(16, { error: nativeError('context-exceeded', 'full') })
    const session = new ChatSession(model, { messages: filled(10), ...options })
    await assert.rejects(session.send('q'), isError('context-exceeded'))
    assert.equal(native.requests.at(-1).messages.length, 21)
    assert.equal(session.messages.length, 20)
  })

  test('drops the oldest turns, and the message of the system never', async () => {
    const { model, native } = scriptedWithin(16, 'a')
    const session = new ChatSession(model, { system: 'S', messages: filled(10), contextStrategy: 'drop-oldest', ...options })
    const { dropped } = await session.send('q')
    // At most 7/8 of 12 tokens: the system, 4 turns of 2 messages, and the question.
    assert.deepEqual(sent(native), ['S', 'q6', 'a6', 'q7', 'a7', 'q8', 'a8', 'q9', 'a9', 'q'])
    assert.deepEqual(dropped, filled(6))
    assert.deepEqual(session.messages.map(({ content }) => content), [...sent(native), 'a'])
  })

  test('drops nothing while there is room', async () => {
    const { model } = scriptedWithin(16, 'a')
    const session = new ChatSession(model, { messages: filled(5), contextStrategy: 'drop-oldest', ...options })
    assert.deepEqual((await session.send('q')).dropped, [])
    assert.equal(session.messages.length, 12)
  })

  test('drops a turn with its calls', async () => {
    const { model, native } = scriptedWithin(16, 'a')
    const calls = [user('q'), { role: 'assistant', content: '', toolCalls: [{ id: 'x', function: { name: 'f', arguments: {} } }] }, { role: 'tool', content: '1', toolCallId: 'x' }, assistant('a')]
    const session = new ChatSession(model, { messages: [...calls, ...filled(5)], contextStrategy: 'drop-oldest', ...options })
    await session.send('q')
    assert.equal(native.requests[0].messages[0].role, 'user')
    assert.equal(native.requests[0].messages.some(({ role }) => role === 'tool'), false)
  })

  test('counts the tokens of a long conversation a few times only', async () => {
    const { model, native } = scriptedWithin(16, 'a')
    let counts = 0
    const count = native.countTokens
    native.countTokens = (...given) => ((counts += 1), count(...given))
    const session = new ChatSession(model, { messages: filled(2000), contextStrategy: 'drop-oldest', ...options })
    await session.send('q')
    assert.ok(counts <= 13, `${counts}`)
    assert.ok(sent(native).length > 7)
  })

  test('leaves what fits in no way to the engine, and the history as it was', async () => {
    const { model, native } = scriptedWithin(16, { error: nativeError('context-exceeded', 'full') })
    const session = new ChatSession(model, { messages: filled(2), contextStrategy: 'drop-oldest', ...options })
    await assert.rejects(session.send(Array(20).fill(user('q'))), isError('context-exceeded'))
    assert.equal(native.requests[0].messages.length, 20)
    assert.equal(session.messages.length, 4)
  })

  test('leaves the answer no more than half of the context', async () => {
    const { model, native } = scriptedWithin(16, 'a')
    const session = new ChatSession(model, { messages: filled(3), contextStrategy: 'drop-oldest', maxTokens: 1000 })
    await session.send('q')
    assert.equal(native.requests[0].messages.length, 7)
  })

  test('becomes a summary in the message of the system', async () => {
    const { model, native } = scriptedWithin(16, 'a', ...Array(10).fill('b'))
    const asked = []
    const summarize = async (messages, { signal }) => {
      assert.equal(signal.aborted, false)
      asked.push(messages)
      return `summary ${asked.length}`
    }
    const session = new ChatSession(model, { system: 'S', messages: filled(6), contextStrategy: { summarize }, ...options })
    const { dropped } = await session.send('q')
    assert.deepEqual(dropped, filled(4))
    assert.deepEqual(asked[0], filled(4))
    const [first, ...rest] = native.requests[0].messages
    assert.deepEqual(first, system('S\n\nSummary of the conversation so far:\nsummary 1'))
    assert.deepEqual(rest, [...filled(6).slice(8), user('q')])
    for (let turns = 0; asked.length < 2; turns += 1) await session.send('more')
    assert.deepEqual(asked[1][0], system('Summary of the conversation so far:\nsummary 1'), 'the next one knows the last')
    assert.match(session.messages[0].content, /^S\n\nSummary of the conversation so far:\nsummary 2$/)
    const again = ChatSession.fromJSON(model, JSON.parse(JSON.stringify(session)), { contextStrategy: { summarize } })
    assert.deepEqual(again.messages, session.messages)
  })

  test('whose summary fails leaves the history as it was', async () => {
    const broken = async (summarize, options) => {
      const { model, native } = scriptedWithin(16)
      const session = new ChatSession(model, { messages: filled(6), contextStrategy: { summarize }, maxTokens: 4 })
      const error = await session.send('q', options).then(assert.fail, (error) => error)
      assert.equal(native.requests.length, 0)
      assert.equal(session.messages.length, 12)
      return error
    }
    const error = new Error('no summary')
    assert.equal(await broken(() => Promise.reject(error)), error)
    assert.ok(isError('invalid-request', /^summarize must give text, got a number/)(await broken(() => 5)))
    assert.ok(isError('invalid-request', /^summarize gave 70000 characters/)(await broken(() => 'x'.repeat(70_000))))
    const controller = new AbortController()
    const forever = () => (queueMicrotask(() => controller.abort('enough')), new Promise(() => {}))
    assert.equal(await broken(forever, { signal: controller.signal }), 'enough')
  })
})

describe('a saved session', () => {
  const said = [system('S'), user('a'), assistant('b')]

  test('is JSON and comes back from it', () => {
    const { model } = scripted()
    const json = JSON.parse(JSON.stringify(new ChatSession(model, { messages: said, tools: [weather] })))
    assert.deepEqual(json, { format: 'rkllmjs-chat-session', version: 1, system: said[0], messages: said.slice(1) })
    assert.deepEqual(ChatSession.fromJSON(model, json).messages, said)
    assert.deepEqual(ChatSession.fromJSON(model, JSON.parse(JSON.stringify(new ChatSession(model)))).messages, [])
  })

  const good = { format: 'rkllmjs-chat-session', version: 1, messages: said.slice(1) }
  const wrong = [
    [null, 'json', /^json must be a saved session, got null/],
    [[], 'json', /got an array/],
    ['{}', 'json', /got a string/],
    [{ ...good, format: 'x' }, 'format', /^format must be "rkllmjs-chat-session", got "x"/],
    [{ ...good, version: 2 }, 'version', /^version must be 1, got 2/],
    [{ ...good, more: 1 }, 'more', /^more is no field/],
    [{ ...good, system: 'S' }, 'system', /^system must be an object, got a string/],
    [{ ...good, system: user('S') }, 'system', /^system must have the role system or developer, got "user"/],
    [{ ...good, summary: 5 }, 'summary', /^summary must be a string/],
    [{ ...good, summary: 'x'.repeat(70_000) }, 'summary', /^summary has 70000 characters/],
    [{ ...good, messages: undefined }, 'messages', /^messages must be an array/],
    [{ ...good, messages: [user('x'), { role: 'boss', content: 'x' }] }, 'messages', /^messages\[1\]\.role must be/],
    [{ ...good, messages: [{ role: 'user', content: 'x', evil: 1 }] }, 'messages', /^messages\[0\]\.evil is no field/],
    [{ ...good, messages: [{ ...user('x'), content: { length: 1e9 } }] }, 'messages', /^messages\[0\]\.content must be/],
    [{ ...good, messages: Array(10_001).fill(user('x')) }, 'messages', /^messages holds 10001, at most 10000/],
  ]

  for (const [json, field, message] of wrong) {
    test(`is refused for its ${field}: ${String(message).slice(1, 40)}`, async () => {
      const { model } = scripted()
      const refused = () => ChatSession.fromJSON(model, json)
      assert.throws(refused, isError('invalid-request', message))
      assert.throws(refused, ({ details }) => details.field === field)
      const file = newFile()
      writeFileSync(file, JSON.stringify(json))
      const error = await ChatSession.load(model, file).then(assert.fail, (error) => error)
      assert.ok(isError('model-invalid')(error))
      assert.ok(error.message.startsWith(`${file}: `) && message.test(error.message.slice(file.length + 2)), error.message)
      assert.deepEqual(error.details, { path: file, part: field })
    })
  }

  test('is found nowhere but in regular files of a sensible size', async () => {
    const { model } = scripted()
    const pipe = path.join(folder, 'pipe')
    execFileSync('mkfifo', [pipe])
    const huge = newFile()
    writeFileSync(huge, Buffer.alloc((32 << 20) + 1, ' '))
    for (const file of [folder, pipe, '/dev/zero', huge]) await assert.rejects(ChatSession.load(model, file), isError('model-invalid'), file)
    await assert.rejects(ChatSession.load(model, newFile()), isError('not-found', /there is no saved session/))
    await assert.rejects(ChatSession.load(model, ''), isError('invalid-request'))
    for (const text of ['', '{', '\0', '{"format":']) {
      const file = newFile()
      writeFileSync(file, text)
      await assert.rejects(ChatSession.load(model, file), isError('model-invalid', /is no saved session/))
    }
  })

  test('is written nowhere but to regular files, and leaves nothing of an attempt', async () => {
    const { model } = scripted()
    const own = path.join(folder, 'own')
    mkdirSync(own)
    const session = new ChatSession(model, { messages: said })
    for (const file of [own, '/dev/null', path.join(own, 'none', 'a.json'), path.join(folder, 'pipe'), `${own}/a\0b`]) {
      await assert.rejects(session.save(file), isError('invalid-request', /cannot be written/), file)
    }
    assert.deepEqual(readdirSync(own), [])
  })
})

describe('over llama.cpp', () => {
  let model
  before(async () => (model = await openTiny({ maxSequences: 8 })))
  after(() => model.close())

  const questions = ['My name is Alice.', 'What is the capital of France?', 'How many legs does a spider have?', 'What is my name?']

  test('a session answers from what it remembers, and the cache holds more with each turn', async () => {
    const session = new ChatSession(model, { ...GREEDY, tenant: 'turns' })
    const results = []
    for (const question of questions) results.push(await session.send(question))
    assert.equal(results.at(-1).text, 'Your name is Alice.')
    const cached = results.map(cachedTokens)
    assert.equal(cached[0], 0)
    for (let at = 1; at < cached.length; at += 1) {
      const before = results[at - 1].usage
      assert.ok(cached[at] > cached[at - 1], `${cached}`)
      assert.ok(cached[at] >= before.promptTokens, `${cached[at]} of ${before.promptTokens} tokens that were there`)
    }
    const { promptTokens, completionTokens } = results.at(-1).usage
    assert.ok(session.countTokens() > promptTokens + completionTokens - 1)
  })

  test('four forks compute what they share once', async () => {
    const root = new ChatSession(model, { ...GREEDY, tenant: 'forks', maxTokens: 24 })
    for (const question of questions.slice(0, 3)) await root.send(question)
    const shared = root.countTokens()
    const forks = Array.from({ length: 4 }, () => root.fork())
    const asked = ['What is my name?', 'What is 70 plus 97?', 'Count from 9 to 12.', 'Hello!']
    const results = await Promise.all(forks.map((fork, at) => fork.send(asked[at])))
    for (const { usage } of results) {
      assert.ok(usage.cachedTokens >= shared - 8, `${usage.cachedTokens} of ${shared} shared tokens were in the cache`)
      assert.ok(usage.promptTokens - usage.cachedTokens < 40, `${usage.promptTokens - usage.cachedTokens} tokens were computed`)
    }
    assert.equal(results[0].text, 'Your name is Alice.')
    assert.equal(root.turns, 3)
    for (const fork of forks) assert.equal(fork.turns, 4)
  })

  test('forks of a session that was never answered share too', async () => {
    const root = new ChatSession(model, { system: `Your name is Plukvo. ${'You live near the mountain. '.repeat(10)}`, ...GREEDY, tenant: 'fresh', maxTokens: 8 })
    const system = root.countTokens()
    const results = await Promise.all(questions.map((question) => root.fork().send(question)))
    const computed = results.reduce((sum, { usage }) => sum + usage.promptTokens - usage.cachedTokens, 0)
    const whole = results.reduce((sum, { usage }) => sum + usage.promptTokens, 0)
    assert.ok(computed < whole - 2 * system, `${computed} of ${whole} tokens were computed; the system's are ${system}`)
  })

  test('rewinding takes the cache along', async () => {
    const session = new ChatSession(model, { ...GREEDY, tenant: 'rewind' })
    for (const question of questions) await session.send(question)
    session.rewind(2)
    const shared = session.countTokens()
    const { usage } = await session.send('Hello!')
    assert.ok(usage.cachedTokens >= shared - 8, `${usage.cachedTokens} of ${shared}`)
  })

  test('a session that outgrows the context goes on without its oldest turns', async () => {
    const small = await openTiny({ contextSize: 128 })
    const session = new ChatSession(small, { system: 'Your name is Plukvo.', contextStrategy: 'drop-oldest', maxTokens: 24, ...GREEDY })
    let dropped = 0
    for (let turns = 0; turns < 12; turns += 1) {
      const result = await session.send('What is the capital of France?')
      assert.ok(result.usage.promptTokens + 24 <= 128, `${result.usage.promptTokens}`)
      dropped += result.dropped.length
    }
    assert.ok(dropped > 0 && dropped % 2 === 0)
    assert.deepEqual(session.messages[0], system('Your name is Plukvo.'))
    assert.equal(session.messages[1].role, 'user')
    await small.close()
  })

  test('a session may shift with a model that does', async () => {
    const shifting = await openTiny({ contextSize: 128, contextOverflow: 'shift' })
    const session = new ChatSession(shifting, { contextStrategy: 'shift', maxTokens: 200, ignoreEos: true, ...GREEDY })
    const first = await session.send('Tell me a story about a lion')
    assert.equal(first.usage.completionTokens, 200)
    assert.ok(first.usage.droppedTokens > 0)
    const second = await session.send('Hello!', { maxTokens: 8 })
    assert.deepEqual(second.dropped.map(({ role }) => role), ['user', 'assistant'])
    await shifting.close()
  })

  test('a session and its cache come back from files in another model', async () => {
    const options = { ...GREEDY, tools: [weather], tenant: 'files' }
    const session = new ChatSession(model, { system: 'Your name is Plukvo.', ...options })
    for (const question of questions.slice(0, 3)) await session.send(question)
    const file = newFile()
    const saved = await session.save(pathToFileURL(file))
    assert.deepEqual([saved.messages, saved.bytes], [session.messages.length, readFileSync(file).length])
    assert.ok(saved.state.tokens >= session.countTokens() - 12, `${saved.state.tokens} of ${session.countTokens()}`)
    assert.ok(existsSync(`${file}.state`))
    const expected = await session.fork().send(questions[3])
    const other = await openTiny()
    const loaded = await ChatSession.load(other, file, options)
    assert.deepEqual(loaded.messages, session.messages)
    assert.deepEqual(loaded.restored, { tokens: saved.state.tokens })
    const there = await loaded.send(questions[3])
    assert.equal(there.text, expected.text)
    assert.ok(cachedTokens(there) >= saved.state.tokens - 1, `${cachedTokens(there)}`)
    await other.close()
  })

  test('a session comes back without its cache where that is missing, broken or another model’s', async () => {
    const session = new ChatSession(model, { ...GREEDY })
    await session.send(questions[0])
    const file = newFile()
    await session.save(file)
    const state = readFileSync(`${file}.state`)
    const restored = async (opening, bytes) => {
      if (bytes === undefined) rmSync(`${file}.state`)
      else writeFileSync(`${file}.state`, bytes)
      const other = await opening
      const loaded = await ChatSession.load(other, file)
      assert.deepEqual(loaded.messages, session.messages)
      await other.close()
      return [loaded.restored.tokens, loaded.restored.problem?.code]
    }
    assert.deepEqual(await restored(openTiny(), state.subarray(0, 100)), [0, 'model-invalid'])
    assert.deepEqual(await restored(loadModel(microModelPath()), state), [0, 'model-invalid'])
    assert.deepEqual(await restored(openTiny({ contextOverflow: 'shift' }), state), [0, 'unsupported'])
    assert.deepEqual(await restored(openTiny(), undefined), [0, 'not-found'])
  })

  test('a session is saved where nothing of it is in the cache', async () => {
    const file = newFile()
    const empty = await new ChatSession(model).save(file)
    assert.deepEqual([empty.messages, empty.state, empty.stateProblem], [0, null, undefined])
    const unheard = await new ChatSession(model, { messages: [user('Nobody has heard of this.')], tenant: 'unheard' }).save(file)
    assert.deepEqual([unheard.messages, unheard.state, unheard.stateProblem.code], [1, null, 'not-found'])
    assert.equal((await ChatSession.load(model, file)).turns, 1)
  })

  test('a session over a closed model fails and does not hang', async () => {
    const other = await openTiny()
    const session = new ChatSession(other)
    const file = newFile()
    await session.save(file)
    await other.close()
    await assert.rejects(session.send('a'), isError('closed'))
    await assert.rejects(ChatSession.load(other, file), isError('closed'))
  })
})

test('a session over the NPU’s runtime remembers as well', async () => {
  const model = await loadModel(standinModelPath(), { libraryPath: standinLibrary('1.3'), contextSize: 512, temperature: 0, topK: 1, repeatPenalty: 1 })
  const session = new ChatSession(model)
  await session.send('My name is Alice.')
  assert.equal((await session.send('What is my name?')).text, 'Your name is Alice.')
  const file = newFile()
  const { state, stateProblem } = await session.save(file)
  assert.deepEqual([state, stateProblem.code], [null, 'unsupported'])
  assert.equal((await ChatSession.load(model, file)).turns, 2)
  await model.close()
})

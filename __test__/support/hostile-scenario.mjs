// Everything hostile, one after the other in this one process. Each check is a line of JSON on stdout:
// `{ "begins": name }` before it and `{ "name", "ms", "failure"? }` after it, so that a crash shows where it was.
import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { copyFileSync, mkdirSync, mkdtempSync, readFileSync, rmSync, truncateSync, writeFileSync, writeSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { LlamaModel, RkllmError, bundledModelPath, inspect, loadModel } from 'rkllmjs'
import { user } from './expect.mjs'
import { microModelPath, openTiny, pirateLoraPath } from './models.mjs'
import { corpus, syntheticModel } from './synthetic.mjs'

const CHECK_LIMIT_MS = 20_000
const CODES = [
  'invalid-request',
  'unsupported',
  'context-exceeded',
  'unauthorized',
  'forbidden',
  'model-not-found',
  'not-found',
  'payload-too-large',
  'model-invalid',
  'insufficient-memory',
  'overloaded',
  'rate-limited',
  'quota-exceeded',
  'deadline-exceeded',
  'library-unavailable',
  'device-unavailable',
  'unavailable',
  'closed',
  'engine-failed',
  'internal',
]

const write = (line) => writeSync(1, `${JSON.stringify(line)}\n`)

/** Runs one check and then sees whether the intact model still answers. */
async function check(name, run, afterwards = answers) {
  write({ begins: name })
  const began = performance.now()
  let failure
  try {
    await withinLimit(async () => {
      await run()
      await afterwards()
    })
  } catch (error) {
    failure = error.stack ?? String(error)
  }
  write({ name, ms: Math.round(performance.now() - began), failure })
}

async function withinLimit(run) {
  const timer = new AbortController()
  const late = delay(CHECK_LIMIT_MS, undefined, { signal: timer.signal }).then(() =>
    assert.fail(`still not done after ${CHECK_LIMIT_MS} ms`),
  )
  try {
    await Promise.race([run(), late])
  } finally {
    timer.abort()
    late.catch(() => {})
  }
}

/** The error of a call that must fail, which must be an RkllmError with one of `codes`. */
async function refused(call, ...codes) {
  const outcome = await outcomeOf(call)
  assert.ok('error' in outcome, 'it was not refused')
  assertTyped(outcome.error)
  if (codes.length > 0) assert.ok(codes.includes(outcome.error.code), `${outcome.error.code}: ${outcome.error.message}`)
  return outcome.error
}

/** A call that may succeed, and otherwise must fail with an RkllmError. */
async function survived(call) {
  const outcome = await outcomeOf(call)
  if ('error' in outcome) assertTyped(outcome.error)
  return outcome
}

async function outcomeOf(call) {
  try {
    return { value: await call() }
  } catch (error) {
    return { error }
  }
}

function assertTyped(error) {
  assert.ok(RkllmError.is(error), `not an RkllmError: ${error?.stack ?? error}`)
  assert.ok(CODES.includes(error.code), `unknown code ${error.code}`)
  assert.notEqual(error.code, 'internal', error.message)
  assert.ok(error.message.length > 0 && error.message.length < 12_000, `a message of ${error.message.length} characters`)
}

/** Loading that must fail; what loads by mistake is closed, or its memory would add up. */
async function refusedLoad(file, options, ...codes) {
  return refused(
    async () => {
      const loaded = await loadModel(file, { threads: 1, ...options })
      await loaded.close()
    },
    ...codes,
  )
}

const folder = mkdtempSync(path.join(tmpdir(), 'rkllmjs-hostile-'))
process.on('exit', () => rmSync(folder, { recursive: true, force: true }))
const place = (name) => path.join(folder, name)

const SMALL = { threads: 1, contextSize: 128, maxSequences: 2 }
const micro = microModelPath()
const tiny = bundledModelPath()
const model = await openTiny({ maxSequences: 4 })

async function answers() {
  const { text } = await model.chat([user('What is the capital of France?')], { temperature: 0 })
  assert.equal(text, 'The capital of France is Paris.')
}

async function intactLoads() {
  const intact = await loadModel(micro, SMALL)
  assert.equal((await intact.generate('Hello', { maxTokens: 4, ignoreEos: true })).tokens.length, 4)
  await intact.close()
}

async function answersAndLoads() {
  await answers()
  await intactLoads()
}

/** Does with a model what a user would; whatever fails must fail with a code. */
async function use(loaded) {
  const few = { maxTokens: 4 }
  await survived(() =>
    loaded.detokenize(loaded.tokenize('Hello wörld, <|im_end|> 日本 😀', { addSpecial: true, parseSpecial: true })),
  )
  await survived(() => loaded.generate('Hello wörld, 日本 😀', few))
  await survived(() => loaded.generate([1, 5, 9], few))
  await survived(() => loaded.countTokens([user('Hi <|im_end|>')]))
  await survived(() => loaded.chat([user('Hi')], few))
  await survived(() => loaded.embed('Hello'))
}

async function malformedFiles() {
  const files = corpus(micro)
  const lines = readFileSync(path.join(files, 'index.tsv'), 'utf8').trim().split('\n')
  for (const line of lines) {
    const [name, expectation, why] = line.split('\t')
    const file = path.join(files, name)
    await check(
      `the file ${name} (${why}) is ${expectation}`,
      async () => {
        if (expectation === 'refused') await refusedLoad(file, SMALL)
        else await loadsOrIsRefused(file)
        await survived(() => inspect(file))
      },
      intactLoads,
    )
  }
}

async function loadsOrIsRefused(file) {
  const { value: loaded } = await survived(() => loadModel(file, SMALL))
  if (loaded === undefined) return
  await use(loaded)
  await loaded.close()
}

async function notAModel() {
  const write = (name, bytes) => {
    writeFileSync(place(name), bytes)
    return place(name)
  }
  const half = place('half.gguf')
  copyFileSync(tiny, half)
  truncateSync(half, 2_000_000)
  mkdirSync(place('folder.gguf'))
  const files = {
    'an empty file': write('empty.gguf', ''),
    'the header of a PNG': write('image.gguf', Buffer.from('89504e470d0a1a0a0000000d49484452', 'hex')),
    text: write('text.gguf', 'GGUF is what I am not\n'.repeat(1000)),
    'four letters of the right magic': write('magic.gguf', 'GGUF'),
    zeroes: write('zeroes.gguf', Buffer.alloc(1 << 20)),
    'a model cut in half': half,
    'a folder': place('folder.gguf'),
    'an adapter': pirateLoraPath(),
  }
  for (const [what, file] of Object.entries(files)) {
    await check(
      `${what} is no model`,
      async () => {
        await refusedLoad(file, {}, 'model-invalid', 'invalid-request', 'unsupported')
        await survived(() => inspect(file))
      },
      answersAndLoads,
    )
  }
  execFileSync('mkfifo', [place('pipe.gguf')])
  for (const [what, file] of Object.entries({
    'a pipe': place('pipe.gguf'),
    '/dev/null': '/dev/null',
    '/dev/zero': '/dev/zero',
    '/dev/full': '/dev/full',
    '/proc/self/mem': '/proc/self/mem',
    '/proc/self/maps': '/proc/self/maps',
  })) {
    await check(`${what} is no model and holds nobody up`, async () => {
      for (const call of [() => loadModel(file), () => inspect(file), () => model.loadLora(file, { name: 'x' })]) {
        await refused(call, 'model-not-found', 'model-invalid', 'invalid-request', 'unsupported')
      }
    })
  }
}

async function paths() {
  const wrong = [
    undefined,
    null,
    1,
    true,
    {},
    [],
    [tiny],
    Symbol('x'),
    () => tiny,
    '',
    Buffer.from(tiny),
    new URL('http://example.org/x.gguf'),
    new URL('file://host/x.gguf'),
    { toString: () => tiny },
    { [Symbol.toPrimitive]: () => assert.fail('asked for a string') },
    new Proxy({}, {}),
  ]
  await check('a path that is none is refused', async () => {
    for (const file of wrong) {
      await refusedLoad(file, {}, 'invalid-request')
      await refused(() => LlamaModel.load(file), 'invalid-request')
      await refused(() => inspect(file), 'invalid-request')
      await refused(() => model.loadLora(file, { name: 'x' }), 'invalid-request')
    }
  })
  const missing = [
    '/nowhere/at/all.gguf',
    'x'.repeat(10_000),
    `/${'x/'.repeat(5000)}`,
    `${tiny}/below`,
    '\uD800.gguf',
    '%00.gguf',
    'file:///x.gguf',
    'https://example.org/x.gguf',
    ' ',
    '.',
    '..',
    '~',
  ]
  for (const file of missing) {
    await check(`the path ${JSON.stringify(file.slice(0, 30))} of ${file.length} characters is refused`, async () => {
      for (const call of [() => loadModel(file), () => inspect(file), () => model.loadLora(file, { name: 'x' })]) {
        await refused(call, 'model-not-found', 'model-invalid', 'invalid-request', 'unsupported')
      }
    })
  }
  await check('a path with a NUL is not cut at it', async () => {
    for (const file of [`${tiny}\0`, `${tiny}\0.gguf`, '\0']) {
      await refusedLoad(file, {}, 'model-not-found', 'invalid-request')
      await refused(() => inspect(file), 'model-not-found', 'invalid-request')
      await refused(() => model.loadLora(`${pirateLoraPath()}\0x`, { name: 'x' }), 'model-not-found', 'invalid-request')
    }
  })
}

async function loadOptions() {
  const refusals = [
    { threads: 9999 },
    { threads: 0 },
    { threads: -1 },
    { threads: 1.5 },
    { threads: NaN },
    { threadsBatch: 9999 },
    { threadsBatch: 0 },
    { contextSize: 2 ** 31 },
    { contextSize: 2 ** 32 - 1 },
    { contextSize: 2 ** 53 },
    { contextSize: 16_777_216 },
    { contextSize: 1 },
    { kvCells: 1 },
    { kvCells: 2 ** 32 },
    { kvCells: 8 },
    { maxSequences: 100_000 },
    { maxSequences: 0 },
    { batchSize: 1, maxSequences: 8 },
    { batchSize: 2 ** 31 },
    { batchSize: 0 },
    { maxQueue: -1 },
    { maxQueue: 1e9 },
    { gpuLayers: 10_000 },
    { gpuLayers: 1 },
    { kvCacheType: 'q8_0\0' },
    { pooling: '\0' },
  ]
  for (const options of refusals) {
    await check(
      `a load with ${show(options)} is refused`,
      () => refusedLoad(tiny, options, 'invalid-request', 'unsupported', 'insufficient-memory'),
      answers,
    )
  }
  const odd = [
    { batchSize: 65_536, contextSize: 128 },
    { batchSize: 8, maxSequences: 8 },
    { batchSize: 1, maxSequences: 1 },
    { maxSequences: 256, batchSize: 256, contextSize: 64 },
    { contextSize: 8, kvCells: 8 },
    { contextSize: 128, kvCells: 129, maxSequences: 7 },
    { contextSize: 100_000, maxSequences: 1 },
    { contextSize: 1000 },
    { contextSize: 100, embedding: true },
    { contextSize: 15, kvCells: 15, maxSequences: 16 },
    { contextSize: 128, kvCells: 128, maxSequences: 200 },
    { maxQueue: 0 },
    { maxQueue: 65_536 },
    { mlock: true },
    { mmap: false },
    { embedding: true },
    { pooling: 'cls' },
    { pooling: 'last' },
    { pooling: 'mean' },
    { pooling: 'none' },
    { pooling: 'rank' },
    { kvCacheType: 'q4_0' },
    { kvCacheType: 'q8_0' },
    { chatTemplate: '' },
    { chatTemplate: ' ' },
    { gpuLayers: 0 },
    { gpuLayers: 'auto' },
    { threads: 2, threadsBatch: 1 },
  ]
  for (const options of odd) {
    await check(`a load with ${show(options)} works or is refused`, async () => {
      const { value: loaded } = await survived(() => loadModel(tiny, { threads: 1, ...options }))
      if (loaded === undefined) return
      await use(loaded)
      await loaded.close()
    })
  }
}

const show = (value) =>
  JSON.stringify(value, (_, field) => (typeof field === 'number' && !Number.isFinite(field) ? String(field) : field)).slice(0, 80)

async function grammars() {
  const refusals = {
    '200,000 parentheses': `root ::= ${'('.repeat(200_000)}"a"${')'.repeat(200_000)}`,
    '100,000 parentheses that never close': `root ::= ${'('.repeat(100_000)}`,
    'left recursion': 'root ::= root "a" | "b"',
    'indirect left recursion': 'root ::= a\na ::= b "x"\nb ::= a "y" | "z"',
    'left recursion behind what may be empty': 'root ::= "a"* root "b" | "c"',
    'an undefined rule': 'root ::= nowhere',
    'no root': 'other ::= "x"',
    nothing: '',
    'a NUL': 'root ::= "\0"',
    'an open string': 'root ::= "abc',
    'an open class': 'root ::= [a-z',
    'a bad escape': 'root ::= "\\x"',
    'an escape cut off': 'root ::= "\\',
    'a huge repetition': 'root ::= "a"{1000000000}',
    'repetitions that multiply': 'root ::= ((("a"{1000}){1000}){1000}){1000}',
    'a repetition beyond 64 bits': 'root ::= "a"{99999999999999999999999999}',
    'a backward repetition': 'root ::= "a"{5,2}',
    'rules that begin with the next one twice': `root ::= r0\n${Array.from({ length: 60 }, (_, i) => `r${i} ::= r${i + 1} "a" | r${i + 1}`).join('\n')}\nr60 ::= "b"`,
    '10,000 rules that begin with the next': `root ::= r0\n${Array.from({ length: 10_000 }, (_, i) => `r${i} ::= r${i + 1}`).join('\n')}\nr10000 ::= "b"`,
    'more bytes than allowed': `root ::= ${'"a" '.repeat(100_000)}`,
    JavaScript: 'function root() {}',
  }
  for (const [what, grammar] of Object.entries(refusals)) {
    await check(`a grammar with ${what} is refused`, () =>
      refused(() => model.generate('x', { grammar, maxTokens: 8 }), 'invalid-request'),
    )
  }
  const odd = {
    'that says nothing': 'root ::= ""',
    'of nested stars over nothing': 'root ::= ((("")*)*)*',
    'of nested stars': 'root ::= (("a"*)*)*',
    'that no text follows': 'root ::= [^\\x00-\\U0010FFFF]',
    'of many alternatives': `root ::= ${Array.from({ length: 5000 }, (_, index) => `"${index}x"`).join(' | ')}`,
    'of many rules': `root ::= r0\n${Array.from({ length: 3000 }, (_, index) => `r${index} ::= "a" r${index + 1}`).join('\n')}\nr3000 ::= "b"`,
    'of deep right recursion': 'root ::= "a" root | "b"',
    'that is ambiguous': 'root ::= a a a a a a a a\na ::= "x"? "x"? "x"? "x"? "x"? "x"?',
    'of rare characters': 'root ::= "😀" [日本] "\\u00e9" "\\U0001F600"',
    'of 60 levels': `root ::= ${'('.repeat(60)}"a"${')'.repeat(60)}`,
    'of many repetitions': 'root ::= [a-z]{0,2000}',
    'in lines of Windows': 'root ::= "a"\r\n',
  }
  for (const [what, grammar] of Object.entries(odd)) {
    await check(`a grammar ${what} is followed or refused`, () =>
      survived(() => model.generate('x', { grammar, maxTokens: 16, timeoutMs: 15_000 })),
    )
  }
  await check('a grammar that ends ends the answer although ignoreEos is set', async () => {
    const { value } = await survived(() => model.generate('x', { grammar: 'root ::= "ab"', ignoreEos: true, maxTokens: 16 }))
    if (value !== undefined) assert.equal(value.text, 'ab')
  })
}

async function templates() {
  const bombs = {
    'nested loops':
      '{% for a in range(100000) %}{% for b in range(100000) %}{% for c in range(100000) %}{% endfor %}{% endfor %}{% endfor %}',
    'a text that doubles':
      '{% set ns = namespace(s="x") %}{% for i in range(64) %}{% set ns.s = ns.s + ns.s %}{% endfor %}{{ ns.s }}',
    'a list that doubles':
      '{% set ns = namespace(s=[1]) %}{% for i in range(64) %}{% set ns.s = ns.s + ns.s %}{% endfor %}{{ ns.s | length }}',
    'a multiplied text': '{{ "x" * 1000000000000 }}',
    'much output': '{% for a in range(10000000) %}xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx{% endfor %}',
    'an endless macro': '{% macro f() %}{{ f() }}{% endmacro %}{{ f() }}',
    'two endless macros': '{% macro f(x) %}{{ g(x) }}{% endmacro %}{% macro g(x) %}{{ f(x) }}{% endmacro %}{{ f(1) }}',
    'a branching macro': '{% macro f(n) %}{% if n > 0 %}{{ f(n - 1) }}{{ f(n - 1) }}{% endif %}{% endmacro %}{{ f(100) }}',
    'an endless range': '{% for a in range(1000000000000000000) %}{% endfor %}',
    '2 MiB of comment': `{# ${'x'.repeat(2 << 20)} #}{{ messages[0].content }}`,
    '2 MiB of text': 'x'.repeat(2 << 20),
    'deep parentheses': `{{ ${'('.repeat(100_000)}1${')'.repeat(100_000)} }}`,
    'deep lists': `{{ ${'['.repeat(100_000)}${']'.repeat(100_000)} }}`,
    'deep negations': `{{ ${'not '.repeat(100_000)}x }}`,
    'deep ifs': `${'{% if true %}'.repeat(20_000)}x${'{% endif %}'.repeat(20_000)}`,
    'a long sum': `{{ ${'1 + '.repeat(100_000)}1 }}`,
    'a long chain of filters': `{{ "x"${' | trim'.repeat(50_000)} }}`,
    'a long chain of members': `{{ messages${'.x'.repeat(50_000)} }}`,
    'deep JSON':
      '{% set ns = namespace(v=[]) %}{% for i in range(100000) %}{% set ns.v = [ns.v] %}{% endfor %}{{ ns.v | tojson }}',
    'a sort of much': '{{ range(10000000) | list | sort | length }}',
    'joins of joins': "{% set a = range(10000) | join('x') %}{{ range(10000) | join(a) }}",
    'a text that holds itself': '{% set ns = namespace() %}{% set ns.a = ns %}{{ ns | tojson }}{{ ns }}',
    'a list that holds itself': '{% set l = [] %}{% set _ = l.append(l) %}{{ l }}{{ l | tojson }}{{ l == l }}',
    'a macro that calls its caller': '{% macro f() %}{{ caller() }}{{ f() }}{% endmacro %}{% call f() %}x{% endcall %}',
    'much indentation': '{{ "a\nb" | indent(1000000000) }}{{ messages | tojson(indent=1000000000) }}',
    'a loop over its own growth': '{% set l = [1] %}{% for a in l %}{% set _ = l.append(a) %}{% endfor %}',
    'nests in strings': `{{ "${'{{'.repeat(10_000)}" }}{% raw %}${'{%'.repeat(10_000)}{% endraw %}`,
    'thoughts without end': '{% for a in range(100000000) %}<think>{{ enable_thinking }}</think>{% endfor %}',
    'replacements that grow':
      "{% set ns = namespace(s='xx') %}{% for i in range(40) %}{% set ns.s = ns.s | replace('x', 'xx') %}{% endfor %}{{ ns.s | length }}",
  }
  for (const [what, chatTemplate] of Object.entries(bombs)) {
    await check(`a template with ${what} fails within seconds`, () =>
      withTemplate(chatTemplate, async (loaded) => {
        const messages = [user('Hi')]
        await withinSecond(() => loaded.chat(messages, { maxTokens: 1 }))
        await withinSecond(() => loaded.applyChatTemplate(messages))
        await withinSecond(() => loaded.countTokens(messages))
        await withinSecond(() => loaded.applyChatTemplate(messages, { tools: TOOLS }))
        const begun = [...messages, { role: 'assistant', content: 'x' }]
        await withinSecond(() => loaded.applyChatTemplate(begun, { continueFinalMessage: true }))
      }),
    )
  }
  const broken = [
    '{{',
    '{% if %}',
    '{% if x %}',
    '{% endfor %}',
    '{{ x | frobnicate }}',
    '{{ messages[0].content.nothing.at.all }}',
    '{{ 1 / 0 }}',
    '{{ 1 % 0 }}',
    '{{ messages[99999999999] }}',
    "{{ ''[5] }}",
    '{% include "/etc/passwd" %}',
    '{% import "x" as y %}',
    '{{ raise_exception() }}',
    '{{ range(1, 2, 0) }}',
    '{{ (-9223372036854775807 - 1) // -1 }}',
    '{{ (-9223372036854775807 - 1) % -1 }}',
    '{{ 9223372036854775807 + 1 }}',
    '{{ 9223372036854775807 * 9223372036854775807 }}',
    '{{ (-9223372036854775807 - 1) | abs }}',
    '{{ -(-9223372036854775807 - 1) }}',
    '{{ 1 // 0 }}',
    '{{ 2 ** 100000 }}',
    '{{ 1e400 | int }}',
    '{{ "9" * 400 | int }}',
    '{{ range(-9223372036854775807, 9223372036854775807) | length }}',
    '{{ range(0, 9223372036854775807, 9223372036854775807) | list }}',
    '{{ range(0, 10, -1) | list }}',
    '{{ messages[::0] }}',
    '{{ messages[::-9223372036854775807] }}',
    '{{ messages[9223372036854775807:-9223372036854775807:9223372036854775807] }}',
    '{{ "abc"[::-1][-9223372036854775807:] }}',
    '{{ "abc".split("") }}',
    '{{ "abc".rsplit("", 2) }}',
    '{{ "abc".split("b", -9223372036854775807) }}',
    '{{ "abc" | replace("", "xy") }}',
    '{{ "abc".replace("", "", -1) }}',
    '{{ [] | first }}{{ [] | last }}{{ [] | min }}{{ [] | max }}{{ [].pop() }}',
    '{{ messages | slice(0) | list }}',
    '{{ messages | batch(0) | list }}',
    '{% for a in [1] %}{{ loop.cycle() }}{{ loop.previtem.x }}{{ loop(1) }}{% endfor %}',
    '{{ "x" | indent(-5) }}{{ "x" | truncate(-5) }}{{ [1] | tojson(indent=-1) }}',
    '{{ {}[[]] }}{{ {1: 2}[1] }}{{ {messages: 1} }}',
    '{{ "%s %d %f" | format(1) }}{{ "%n%n%n%s" | format("x") }}',
    '{{ messages.append(1) }}{{ messages.pop() }}{{ messages[0].update({}) }}',
    '{{ messages | map("frobnicate") | list }}{{ messages | selectattr("x", "frobnicate") | list }}',
    '{{ self }}{{ loop }}{{ caller() }}{{ super() }}{{ cycler() }}{{ joiner() }}{{ lipsum(99999) }}',
    '{{ "".__class__.__mro__ }}{{ messages.__init__.__globals__ }}',
    '{% break %}{% continue %}',
    '{% set messages = 5 %}{% set range = 1 %}{{ range(3) }}',
    '{% generation %}',
    '{% macro %}{% endmacro %}',
    '{% macro f(a=f(), *b, **c) %}{% endmacro %}{{ f(*messages, **messages) }}',
    '{% filter upper(%}x{% endfilter %}',
    "{{ '%s' % 1 }}",
    '{% set x %}',
    '\0{{ 1 }}\0',
    '{{ "\uD800" }}',
    '{{ strftime_now("%" * 100000) }}',
    '{% for a in 5 %}{% endfor %}',
  ]
  for (const chatTemplate of broken) {
    await check(`the template ${JSON.stringify(chatTemplate)} works or is refused`, () =>
      withTemplate(chatTemplate, async (loaded) => {
        await survived(() => loaded.applyChatTemplate([user('Hi')]))
        await survived(() => loaded.chat([user('Hi')], { maxTokens: 1 }))
      }),
    )
  }
}

const TOOLS = [
  { type: 'function', function: { name: 'a', description: 'x', parameters: { type: 'object', properties: { b: { type: 'string' } } } } },
]

/** Other programs make a call late, and renderings that nobody waits for any more work on: one of both is true. */
async function withinSecond(call) {
  const [began, before] = [performance.now(), process.cpuUsage()]
  await survived(call)
  const took = performance.now() - began
  const { user, system } = process.cpuUsage(before)
  assert.ok(Math.min(took, (user + system) / 1000) < 1000, `it took ${took} ms`)
}

async function withTemplate(chatTemplate, run) {
  const { value: loaded } = await survived(() => loadModel(micro, { ...SMALL, chatTemplate }))
  if (loaded === undefined) return
  try {
    await run(loaded)
  } finally {
    await loaded.close()
  }
}

async function adapters() {
  const good = readFileSync(pirateLoraPath())
  const write = (name, bytes) => {
    writeFileSync(place(name), bytes)
    return place(name)
  }
  const files = {
    'a model': tiny,
    'another model': micro,
    'an adapter of a smaller model': syntheticModel('lora', '--base', 'micro'),
    'an adapter of a larger model': syntheticModel('lora', '--base', 'tiny'),
    garbage: write('garbage.gguf', Buffer.from(Array.from({ length: 4096 }, (_, index) => (index * 7919) % 251))),
    'a header and garbage': write('header.gguf', Buffer.concat([good.subarray(0, 24), Buffer.alloc(4096, 0xff)])),
    'half an adapter': write('half-lora.gguf', good.subarray(0, good.length >> 1)),
    'an adapter without its last byte': write('short-lora.gguf', good.subarray(0, good.length - 1)),
    'an empty file': write('empty-lora.gguf', ''),
    'a missing file': place('missing.gguf'),
    'a folder': folder,
  }
  for (const [what, file] of Object.entries(files)) {
    await check(`${what} is no adapter of the bundled model`, async () => {
      await refused(
        () => model.loadLora(file, { name: 'wrong' }),
        'model-invalid',
        'model-not-found',
        'invalid-request',
        'unsupported',
      )
      assert.deepEqual(model.loras, [])
      await refused(() => model.generate('x', { lora: 'wrong' }), 'invalid-request')
    })
  }
  await check('a name that is taken is refused, also while the other adapter loads', async () => {
    const both = await Promise.allSettled([
      model.loadLora(pirateLoraPath(), { name: 'a' }),
      model.loadLora(pirateLoraPath(), { name: 'a' }),
    ])
    assert.deepEqual(
      both.map(({ status }) => status),
      ['fulfilled', 'rejected'],
    )
    assertTyped(both[1].reason)
    await refused(() => model.loadLora(pirateLoraPath(), { name: 'a' }), 'invalid-request')
    await model.unloadLora('a')
  })
  await check('more adapters than allowed are refused and can be unloaded again', async () => {
    const names = Array.from({ length: 70 }, (_, index) => `many-${index}`)
    const loads = await Promise.allSettled(names.map((name) => model.loadLora(pirateLoraPath(), { name })))
    const loaded = model.loras.length
    await Promise.all(names.map((name) => model.unloadLora(name)))
    assert.deepEqual(model.loras, [])
    for (const { reason } of loads) if (reason !== undefined) assertTyped(reason)
    assert.ok(loaded <= 64, `${loaded} are loaded`)
  })
  await check('odd names and scales of adapters harm nobody', async () => {
    for (const name of ['__proto__', 'constructor', 'a\0b', ' ', '日本', '\uD800']) {
      await survived(() => model.loadLora(pirateLoraPath(), { name }))
      await survived(() => model.generate('x', { maxTokens: 1, lora: name }))
      await survived(() => model.generate('x', { maxTokens: 1, lora: { [name]: 1 } }))
      await survived(() => model.unloadLora(name))
    }
    await model.loadLora(pirateLoraPath(), { name: 'a', scale: 1e6 })
    await survived(() => model.generate('x', { maxTokens: 4, lora: 'a' }))
    await survived(() => model.generate('x', { maxTokens: 4, lora: { a: -1e6 } }))
    await refused(() => model.generate('x', { lora: { a: 1e300 } }), 'invalid-request')
    await model.unloadLora('a')
    for (const name of [undefined, null, 1, {}]) await refused(() => model.unloadLora(name), 'invalid-request')
  })
  await check('an adapter that is loaded and unloaded all the time harms nobody', async () => {
    const generation = model.generate('Once', { ignoreEos: true, maxTokens: 300 })
    for (let round = 0; round < 10; round += 1) {
      await model.loadLora(pirateLoraPath(), { name: 'churn' })
      const under = model.generate('Once', { maxTokens: 20, lora: 'churn' })
      await model.unloadLora('churn')
      await survived(() => under)
    }
    assert.equal((await generation).tokens.length, 300)
  })
}

async function prompts() {
  const few = { maxTokens: 4 }
  await check('an empty prompt is answered or refused', async () => {
    for (const prompt of ['', [], new Uint32Array()]) await survived(() => model.generate(prompt, few))
  })
  await check('half an emoji, NULs and odd characters are text', async () => {
    for (const text of [
      '\uD800',
      'a\uDC00b\uD83D',
      '\0',
      'a\0b\0',
      '\uFFFF\uFFFE',
      '\u202E\u0000',
      '\uFEFF',
      '\u{10FFFF}',
      'e\u0301'.repeat(50),
      '👩‍👩‍👧‍👦'.repeat(20),
    ]) {
      await survived(() => model.generate(text, few))
      await survived(() => model.chat([user(text)], few))
      await survived(() => model.embed(text))
      assert.equal(model.detokenize(model.tokenize(text)), text.toWellFormed())
    }
  })
  await check('5 MB of text is refused, and tokenize() still takes it', async () => {
    const text = 'word '.repeat(1_000_000)
    await refused(() => model.generate(text), 'context-exceeded', 'payload-too-large')
    await refused(() => model.chat([user(text)]), 'context-exceeded', 'payload-too-large')
    await refused(() => model.embed(text), 'context-exceeded', 'payload-too-large')
    await survived(() => model.tokenize(text))
  })
  await check('5 MB of one letter takes no more than seconds', async () => {
    const began = performance.now()
    await survived(() => model.tokenize('a'.repeat(5_000_000)))
    await survived(() => model.generate('\n'.repeat(5_000_000)))
    assert.ok(performance.now() - began < 10_000, `${performance.now() - began} ms`)
  })
  await check('what is no prompt is refused', async () => {
    const wrong = [
      undefined,
      null,
      1,
      true,
      {},
      Symbol('x'),
      () => 'x',
      new Float64Array([1, 2]),
      new Int32Array([1]),
      new Uint8Array([1]),
      new BigUint64Array([1n]),
      new ArrayBuffer(8),
      Buffer.from('x'),
      ['x'],
      [1, '2'],
      [NaN],
      [-1],
      [1.5],
      [2 ** 32],
      [1n],
      [[1]],
      new Set([1]),
      new String('x'),
      new Map(),
      new Date(),
      Object.create(Uint32Array.prototype),
    ]
    for (const prompt of wrong) {
      await refused(() => model.generate(prompt), 'invalid-request')
      await refused(() => model.detokenize(prompt), 'invalid-request')
      if (!Array.isArray(prompt)) await refused(() => model.embed(prompt), 'invalid-request')
      await refused(() => model.tokenize(prompt), 'invalid-request')
    }
  })
  await check('tokens out of the vocabulary are refused', async () => {
    for (const tokens of [[1024], [2 ** 31], [2 ** 32 - 1], Uint32Array.of(5, 1024), Uint32Array.of(2 ** 32 - 1)]) {
      await refused(() => model.generate(tokens, few), 'invalid-request')
      await refused(() => model.detokenize(tokens), 'invalid-request')
    }
  })
  await check('odd arrays of tokens are read or refused', async () => {
    const sparse = [5]
    sparse[3] = 5
    await refused(() => model.generate(sparse), 'invalid-request')
    const detached = Uint32Array.of(5, 6)
    structuredClone(detached, { transfer: [detached.buffer] })
    await survived(() => model.generate(detached, few))
    await survived(() => model.generate(new Uint32Array(new SharedArrayBuffer(16)), few))
    await survived(() => model.generate(new Uint32Array(new ArrayBuffer(8, { maxByteLength: 16 })), few))
    await survived(() => model.generate(Uint32Array.of(1, 5, 6).subarray(1), few))
    class Mine extends Uint32Array {
      get length() {
        return 1e9
      }
    }
    await survived(() => model.generate(new Mine([5, 6]), few))
    await survived(() => model.detokenize(new Mine([5, 6])))
  })
  await check('tokens that change after the call were read at the call', async () => {
    const tokens = model.tokenize(model.applyChatTemplate([user('What is the capital of France?')]), { parseSpecial: true })
    const generation = model.generate(tokens, { temperature: 0 })
    tokens.fill(7)
    assert.equal((await generation).text, 'The capital of France is Paris.')
  })
  await check('many texts to embed are embedded or refused', async () => {
    await refused(() => model.embed(Array(100_000).fill('x')), 'invalid-request', 'payload-too-large')
    await refused(() => model.embed(['x', undefined]), 'invalid-request')
    await refused(() => model.embed([, 'x']), 'invalid-request')
    await survived(() => model.embed(['', 'x', '']))
    await survived(() => model.embed(''))
  })
}

async function generateOptions() {
  const everyToken = Array.from({ length: 1024 }, (_, token) => token)
  const odd = {
    'a huge maxTokens': { maxTokens: 2 ** 31 - 1, stop: '.', timeoutMs: 15_000 },
    'every token banned': { logitBias: everyToken.map((token) => [token, -Infinity]), maxTokens: 4 },
    'every token banned, greedily': { logitBias: everyToken.map((token) => [token, -Infinity]), maxTokens: 4, temperature: 0 },
    'every token but one banned': { logitBias: everyToken.slice(1).map((token) => [token, -Infinity]), maxTokens: 4 },
    'the largest biases': { logitBias: everyToken.map((token) => [token, token % 2 === 0 ? 1e9 : -1e9]), maxTokens: 4 },
    'one bias many times': { logitBias: Array(60_000).fill([5, 1]), maxTokens: 4 },
    'a grammar and its tokens banned': {
      grammar: 'root ::= "a"+',
      logitBias: model.tokenize('a').reduce((bias, token) => ({ ...bias, [token]: -Infinity }), {}),
      maxTokens: 4,
    },
    'every token a stop token': { stopTokens: everyToken, maxTokens: 4 },
    'no samplers': { samplers: [], maxTokens: 4 },
    'only the temperature': { samplers: ['temperature'], temperature: 100, maxTokens: 4 },
    'extreme penalties': {
      repeatPenalty: 100,
      frequencyPenalty: 100,
      presencePenalty: 100,
      dryMultiplier: 100,
      dryBase: 100,
      dryAllowedLength: 0,
      repeatLastN: -1,
      maxTokens: 50,
    },
    'the smallest penalties': {
      repeatPenalty: 0.01,
      frequencyPenalty: -100,
      presencePenalty: -100,
      repeatLastN: 1_048_576,
      maxTokens: 50,
    },
    'nothing left by topP': { topP: 0, minP: 1, typicalP: 0, topK: 1, topNSigma: 1e-9, maxTokens: 4 },
    'XTC of everything': { xtcProbability: 1, xtcThreshold: 0, maxTokens: 20 },
    'Mirostat at its ends': { mirostat: 2, mirostatTau: 0, mirostatEta: 10, maxTokens: 20 },
    'Mirostat 1 at its ends': { mirostat: 1, mirostatTau: 1000, mirostatEta: 0, maxTokens: 20 },
    'a dynamic temperature wider than it is': { temperature: 0.1, dynatempRange: 100, maxTokens: 20 },
    '64 answers at once': { n: 64, maxTokens: 2 },
    'all logprobs': { logprobs: true, topLogprobs: 1024, maxTokens: 3 },
    'long stop strings': { stop: Array(64).fill('x'.repeat(4096)), maxTokens: 20 },
    'stop strings of half emojis': { stop: ['\uD83D', '\0'], maxTokens: 20 },
  }
  for (const [what, options] of Object.entries(odd)) {
    await check(`${what} is answered or refused`, () => survived(() => model.generate('Once upon a time', options)))
  }
  const refusals = [
    { n: 1e9 },
    { n: 0 },
    { n: 65 },
    { stop: [''] },
    { stop: '' },
    { stop: Array(10_000).fill('x') },
    { stop: 'x'.repeat(1_000_000) },
    { stopTokens: Array(1_000_000).fill(1) },
    { logitBias: Array(100_000).fill([1, 1]) },
    { maxTokens: 1e300 },
    { seed: -1 },
    { grammar: 'x'.repeat(10_000_000) },
    { samplers: Array(100_000).fill('topK') },
  ]
  for (const options of refusals) {
    await check(`${show(options)} is refused`, () => refused(() => model.generate('x', options), 'invalid-request'))
  }
  await check('options that are no object are refused', async () => {
    for (const options of [null, [], 'x', 1, () => {}, Symbol('x'), 1n]) {
      await refused(() => model.generate('x', options), 'invalid-request')
      await refused(() => model.chat([user('x')], options), 'invalid-request')
      await refused(() => model.tokenize('x', options), 'invalid-request')
      await refused(() => model.embed('x', options), 'invalid-request')
      await refused(() => model.loadLora(pirateLoraPath(), options), 'invalid-request')
      await refused(() => loadModel(tiny, options), 'invalid-request')
    }
  })
}

async function conversations() {
  const nest = (depth) => {
    let value = 'x'
    for (let level = 0; level < depth; level += 1) value = { value }
    return value
  }
  await check('100,000 messages are refused', async () => {
    await refused(() => model.chat(Array(100_000).fill(user('x'))), 'invalid-request', 'payload-too-large', 'context-exceeded')
    await refused(() => model.countTokens(Array(1_000_000).fill(user('x'))), 'invalid-request', 'payload-too-large')
  })
  await check('deeply nested arguments are refused', async () => {
    for (const depth of [200, 2000, 100_000]) {
      const call = { role: 'assistant', toolCalls: [{ type: 'function', function: { name: 'f', arguments: nest(depth) } }] }
      await survived(() => model.chat([user('x'), call], { maxTokens: 1 }))
      await survived(() => model.applyChatTemplate([user('x')], { templateArgs: nest(depth) }))
    }
    const json = `${'{"a":'.repeat(100_000)}1${'}'.repeat(100_000)}`
    const call = { role: 'assistant', toolCalls: [{ type: 'function', function: { name: 'f', arguments: json } }] }
    await survived(() => model.countTokens([user('x'), call]))
  })
  await check('messages that are circles or hold what JSON does not know are refused', async () => {
    const circle = {}
    circle.self = circle
    for (const args of [
      circle,
      { x: 1n },
      { toJSON: () => assert.fail('mine') },
      { x: Symbol('x') },
      { x: () => {} },
      { x: NaN },
      new Map([[1, 2]]),
      new Date(NaN),
    ]) {
      await survived(() =>
        model.chat(
          [user('x'), { role: 'assistant', toolCalls: [{ type: 'function', function: { name: 'f', arguments: args } }] }],
          { maxTokens: 1 },
        ),
      )
    }
  })
  await check('odd template arguments harm nobody', async () => {
    for (const templateArgs of [
      { messages: 1 },
      { messages: [] },
      { add_generation_prompt: 'x' },
      { tools: 5 },
      { bos_token: {} },
      { __proto__: null, x: 1 },
      { '': 1 },
      { 'a b': 1 },
      { x: '\0' },
    ]) {
      await survived(() => model.applyChatTemplate([user('x')], { templateArgs }))
    }
  })
  await check('a name in a message that is no field is refused, however long', async () => {
    await refused(() => model.chat([{ ...user('x'), ['y'.repeat(1000)]: 1 }]), 'invalid-request')
    await refused(() => model.chat([JSON.parse('{"role": "user", "content": "x", "__proto__": 1}')]), 'invalid-request')
  })
}

/** The caller's own code: what it throws may come back as it is, but nothing else may happen. */
async function traps() {
  const own = new Error('mine')
  const thrower = () => {
    throw own
  }
  const caught = async (call) => {
    const { error } = await outcomeOf(call)
    assert.ok(error === own || error instanceof TypeError || RkllmError.is(error), `${error?.stack ?? 'it was not refused'}`)
  }
  const trap = new Proxy(
    {},
    { get: thrower, ownKeys: thrower, has: thrower, getPrototypeOf: thrower, getOwnPropertyDescriptor: thrower },
  )
  await check('getters that throw come back as they are', async () => {
    const getter = (name) => Object.defineProperty({}, name, { get: thrower, enumerable: true })
    await caught(() => model.generate('x', getter('maxTokens')))
    await caught(() => model.chat([getter('role')]))
    await caught(() => model.chat([{ ...user('x'), ...{ content: [getter('type')] } }]))
    await caught(() => model.chat([user('x')], { templateArgs: getter('x') }))
    await caught(() => model.embed('x', getter('dimensions')))
    await caught(() => model.tokenize('x', getter('addSpecial')))
    await caught(() => loadModel(tiny, getter('threads')))
    await caught(() => model.generate('x', { logitBias: getter('5') }))
    await caught(() => model.generate('x', { lora: getter('a') }))
    await caught(() => model.generate('x', { stop: Object.defineProperty(['a', 'b'], 1, { get: thrower }) }))
  })
  await check('proxies that throw come back as they are', async () => {
    await caught(() => model.generate(trap))
    await caught(() => model.generate('x', trap))
    await caught(() => model.chat(trap))
    await caught(() => model.chat([trap]))
    await caught(() => model.chat([user(trap)]))
    await caught(() => model.chat([user([trap])]))
    await caught(() => model.embed(trap))
    await caught(() => model.detokenize(trap))
    await caught(() => loadModel(trap))
    await caught(() => loadModel(tiny, trap))
    await caught(() => model.generate('x', { signal: trap }))
    await caught(() => model.loadLora(trap, trap))
  })
  await check('revoked proxies are refused', async () => {
    const { proxy, revoke } = Proxy.revocable([], {})
    revoke()
    for (const call of [
      () => model.generate(proxy),
      () => model.chat(proxy),
      () => model.chat([proxy]),
      () => model.generate('x', proxy),
      () => model.embed(proxy),
      () => loadModel(proxy),
    ])
      await caught(call)
  })
  await check('proxies that only look on are read as what they stand for', async () => {
    const seeThrough = (value) => new Proxy(value, {})
    const { text } = await model.chat(
      seeThrough([seeThrough(user('What is the capital of France?'))]),
      seeThrough({ temperature: 0 }),
    )
    assert.equal(text, 'The capital of France is Paris.')
    await survived(() => model.generate(seeThrough(Uint32Array.of(5, 6)), { maxTokens: 1 }))
  })
  await check('toString and toJSON are never called on what is no text', async () => {
    const called = {
      toString: thrower,
      valueOf: thrower,
      toJSON: thrower,
      [Symbol.toPrimitive]: thrower,
      get [Symbol.toStringTag]() {
        throw own
      },
    }
    for (const call of [
      () => model.generate(called),
      () => model.chat([user(called)]),
      () => model.generate('x', { stop: called }),
      () => model.generate('x', { maxTokens: called }),
      () => model.embed(called),
      () => loadModel(called),
      () => model.chat([{ role: called, content: 'x' }]),
      () => model.loadLora(pirateLoraPath(), { name: called }),
    ]) {
      await refused(call, 'invalid-request')
    }
  })
  await check('a signal that is none of the platform works or is refused', async () => {
    const listeners = []
    const mine = {
      aborted: false,
      reason: undefined,
      addEventListener: (_, listener) => listeners.push(listener),
      removeEventListener: () => {},
    }
    const generation = model.generate('Once', { ignoreEos: true, signal: mine })
    for (const listener of listeners) listener()
    const { error } = await outcomeOf(() => generation)
    assert.equal(error.name, 'AbortError')
    await caught(() =>
      model.generate('x', { maxTokens: 1, signal: { aborted: false, addEventListener: thrower, removeEventListener: () => {} } }),
    )
    await caught(() => model.generate('x', { maxTokens: 1, signal: { aborted: false, addEventListener: 5 } }))
    await until(() => model.stats().running === 0)
  })
  await check('callbacks that throw or reject harm only their own call', async () => {
    await caught(() => model.generate('Once', { onToken: thrower }))
    await caught(() => loadModel(micro, { ...SMALL, onProgress: thrower }))
    const { value } = await survived(() => model.generate('Once', { maxTokens: 3, ignoreEos: true, onToken: async () => {} }))
    assert.equal(value.tokens.length, 3)
  })
  await check('calls from inside onToken are served', async () => {
    const inner = []
    await model.generate('Once', {
      maxTokens: 5,
      ignoreEos: true,
      onToken: () => inner.push(model.generate('Once', { maxTokens: 2 }), model.tokenize('x'), model.stats()),
    })
    await Promise.all(inner)
    assert.equal(inner.length, 15)
  })
}

async function until(condition) {
  while (!condition()) await delay(1)
}

async function lifecycle() {
  await check('methods without their model fail with a TypeError and nothing else', async () => {
    const { generate, chat, tokenize, embed, stats, close, loadLora, countTokens } = model
    for (const call of [
      () => generate('x'),
      () => chat([user('x')]),
      () => tokenize('x'),
      () => embed('x'),
      () => stats(),
      () => close(),
      () => loadLora('x', { name: 'x' }),
      () => countTokens([user('x')]),
      () => generate.call({}, 'x'),
      () => stats.call(Object.create(model)),
    ]) {
      const { error } = await outcomeOf(call)
      assert.ok(error instanceof TypeError || RkllmError.is(error), String(error))
    }
    const generation = model.generate('Once', { maxTokens: 2 })
    const { then, cancel } = generation
    for (const call of [() => then(() => {}), () => cancel()]) assert.throws(call, TypeError)
    await generation
  })
  await check('a model cannot be made without a file', async () => {
    for (const call of [() => new LlamaModel(), () => new LlamaModel({}), () => LlamaModel()]) {
      const { error } = await outcomeOf(call)
      assert.ok(error instanceof Error)
    }
  })
  await check('a closed model refuses everything and can be closed again', async () => {
    const closed = await loadModel(micro, SMALL)
    const generation = await closed.generate('Hello', { maxTokens: 1 })
    await Promise.all([closed.close(), closed.close()])
    await closed.close()
    await closed[Symbol.asyncDispose]()
    const calls = [
      () => closed.generate('x'),
      () => closed.chat([user('x')]),
      () => closed.tokenize('x'),
      () => closed.detokenize([1]),
      () => closed.countTokens([user('x')]),
      () => closed.applyChatTemplate([user('x')]),
      () => closed.embed('x'),
      () => closed.loadLora('x', { name: 'x' }),
      () => closed.unloadLora('x'),
      () => closed.stats(),
    ]
    for (const call of calls) await refused(call, 'closed')
    assert.equal(closed.info.architecture, 'llama')
    assert.deepEqual(closed.loras, [])
    assert.equal(generation.tokens.length, 1)
  })
  await check('a model that closes while it is used refuses or answers', async () => {
    for (let round = 0; round < 5; round += 1) {
      const closing = await openTiny({ contextSize: 256 })
      const under = [
        closing.generate('Once', { ignoreEos: true }),
        closing.chat([user('x')]),
        closing.embed(['x', 'y']),
        closing.loadLora(pirateLoraPath(), { name: 'a' }),
        closing.unloadLora('a'),
        closing.generate('x'.repeat(100_000)),
      ]
      const settled = Promise.allSettled(under)
      await closing.close()
      for (const { status, reason } of await settled) if (status === 'rejected') assertTyped(reason)
    }
  })
  await check('20 loads at once, some of them given up, all end', async () => {
    const loads = Array.from({ length: 20 }, (_, index) => {
      const controller = new AbortController()
      const load = loadModel(index % 4 === 0 ? place('missing') : micro, { ...SMALL, signal: controller.signal })
      if (index % 4 === 1) controller.abort(new RkllmError('unavailable', 'given up'))
      return load
    })
    for (const { status, value, reason } of await Promise.allSettled(loads)) {
      if (status === 'rejected') assertTyped(reason)
      else await value.close()
    }
  })
  await check(
    '50 models one after the other give everything back',
    async () => {
      for (let round = 0; round < 50; round += 1) {
        const next = await loadModel(micro, SMALL)
        void next.generate('Hello', { ignoreEos: true })
        await next.close()
      }
    },
    answersAndLoads,
  )
}

const GROUPS = [
  paths,
  notAModel,
  loadOptions,
  grammars,
  templates,
  adapters,
  prompts,
  generateOptions,
  conversations,
  traps,
  lifecycle,
  malformedFiles,
]
/** All of them, unless the command line names some. */
const chosen = process.argv.slice(2)
for (const group of GROUPS) if (chosen.length === 0 || chosen.includes(group.name)) await group()
await model.close()
write({ done: true })

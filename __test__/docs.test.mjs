// The documentation is true: every example in it runs and prints what it says, every link leads
// somewhere, and every table is what the code says.
import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { existsSync, mkdirSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import { describe, test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import ts from 'typescript'

import { pageWithoutNumbers } from '../scripts/docs/options-page.mjs'

const run = promisify(execFile)
const root = path.dirname(path.dirname(fileURLToPath(import.meta.url)))
/** Inside the package, where `import 'rkllmjs'` means this repository. */
const folder = path.join(root, '.cache', 'docs')
const TIME_LIMIT_MS = 60_000

/** What runs before an example that imports nothing; docs/getting-started.md tells readers so. */
const PRELUDE = [
  "import { RkllmError, bundledModelPath, inspect, loadModel } from 'rkllmjs'",
  'const model = await loadModel(bundledModelPath())',
  '',
].join('\n')

const read = (file) => readFileSync(path.join(root, file), 'utf8')
const markdown = (under) =>
  readdirSync(path.join(root, under))
    .filter((file) => file.endsWith('.md'))
    .map((file) => path.join(under, file))
const pages = [...markdown('.'), ...markdown('docs')]

/** The fenced blocks of a page: their language, text and line. */
function blocks(page) {
  const text = read(page)
  return Array.from(text.matchAll(/^```(\w*)\n(.*?)^```\n/gms), (match) => ({
    language: match[1],
    text: match[2],
    line: text.slice(0, match.index).split('\n').length,
    start: match.index,
    end: match.index + match[0].length,
    between: (next) => text.slice(match.index + match[0].length, next),
  }))
}

/** The examples of a page; a text block right after one is what it prints. */
function examplesOf(page) {
  const all = blocks(page)
  return all.flatMap((block, i) => {
    if (!['js', 'ts'].includes(block.language)) return []
    const next = all[i + 1]
    const prints = next?.language === 'text' && block.between(next.start).trim() === '' ? next.text : undefined
    return [{ name: `${page}:${block.line}`, ...block, prints }]
  })
}

/** Writes an example as a module: what to run, and what to check the types of. */
function write({ name, language, text }) {
  const isCommonJs = /\brequire\(/.test(text)
  const isWhole = isCommonJs || /^import /m.test(text)
  const code = isWhole ? text : PRELUDE + text
  const base = path.join(folder, name.replaceAll(/[^\w]+/g, '-'))
  const source = `${base}.${language === 'ts' ? 'mts' : isCommonJs ? 'cjs' : 'mjs'}`
  writeFileSync(source, code)
  if (language === 'js') return { source, program: source }
  const program = `${base}.mjs`
  const compilerOptions = { target: ts.ScriptTarget.ES2022, module: ts.ModuleKind.ESNext }
  writeFileSync(program, ts.transpileModule(code, { compilerOptions }).outputText)
  return { source, program }
}

async function output(program) {
  const { stdout } = await run(process.execPath, [program], { cwd: folder, timeout: TIME_LIMIT_MS })
  return stdout
}

rmSync(folder, { recursive: true, force: true })
mkdirSync(folder, { recursive: true })
const examples = pages.flatMap(examplesOf).map((example) => ({ ...example, ...write(example) }))
const programs = readdirSync(path.join(root, 'examples')).filter((file) => file.endsWith('.mjs'))

// One at a time: the compute threads of two models on one processor wait for each other.
describe('examples in the documentation', () => {
  for (const { name, program, prints } of examples) {
    test(`${name} ${prints === undefined ? 'runs' : 'prints what it says'}`, async () => {
      const printed = await output(program)
      if (prints !== undefined) assert.equal(printed, prints)
    })
  }
})

describe('programs in examples/', () => {
  for (const file of programs) {
    test(`${file} runs`, async () => {
      assert.notEqual(await output(path.join(root, 'examples', file)), '')
    })
  }
})

test('every example uses names that the types of the package know', () => {
  const files = [...examples.map(({ source }) => source), ...programs.map((file) => path.join(root, 'examples', file))]
  const program = ts.createProgram(files, {
    strict: true,
    noImplicitAny: false,
    allowJs: true,
    checkJs: true,
    noEmit: true,
    skipLibCheck: true,
    target: ts.ScriptTarget.ES2022,
    module: ts.ModuleKind.Node16,
    lib: ['lib.es2022.d.ts', 'lib.esnext.disposable.d.ts'],
    types: ['node'],
  })
  const problems = ts.getPreEmitDiagnostics(program).filter(isProblem)
  const host = { getCanonicalFileName: (file) => file, getCurrentDirectory: () => root, getNewLine: () => '\n' }
  assert.equal(ts.formatDiagnostics(problems, host), '')
})

/** "No such name" and "no such property" in JavaScript, which has no types of its own; everything in TypeScript. */
function isProblem({ code, file }) {
  return file === undefined || file.fileName.endsWith('.mts') || [2304, 2305, 2307, 2339, 2551, 2552, 2724].includes(code)
}

describe('links', () => {
  for (const page of pages) {
    test(`of ${page} lead somewhere`, () => {
      const links = Array.from(read(page).matchAll(/\]\(([^)\s]+)\)/g), ([, target]) => target)
      for (const target of links.filter((target) => !target.includes('://'))) {
        const [file, anchor] = target.split('#')
        const linked = file === '' ? page : path.join(path.dirname(page), file)
        assert.ok(existsSync(path.join(root, linked)), `${target} is not there`)
        if (anchor !== undefined) assert.ok(anchors(linked).includes(anchor), `${linked} has no heading #${anchor}`)
      }
    })
  }
})

/** The anchors that a page's headings get. */
function anchors(page) {
  const headings = Array.from(read(page).matchAll(/^#+ (.+)$/gm), ([, heading]) => heading)
  return headings.map((heading) => heading.toLowerCase().replaceAll(/[^\w\s-]/g, '').replaceAll(/\s/g, '-'))
}

describe('tables', () => {
  test('of options are those of the code; cargo checks the numbers', async () => {
    const page = read('docs/options.md')
    const { before, after } = await pageWithoutNumbers()
    assert.ok(page.startsWith(before) && page.endsWith(after), 'docs/options.md is out of date: run `npm run docs`')
  })

  test('of error codes are those of the code', () => {
    const rows = Array.from(read('docs/errors.md').matchAll(/^\| `([a-z-]+)` \| (yes|no) \| (\d+) \| (\d+) \|/gm))
    const documented = rows.map(([, code, retryable, http, exit]) => `${code} ${http} ${exit} ${retryable === 'yes'}`)
    assert.deepEqual(documented.sort(), read('crates/core/src/error_codes.txt').trim().split('\n').sort())
  })
})

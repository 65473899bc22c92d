// docs/options.md: the numeric options from Rust, which checks their ranges, and the others from TypeScript.
import { readFileSync } from 'node:fs'
import { inRepository } from '../repository.mjs'

const INTRODUCTION = `# Options

Written by \`npm run docs\` from the code; change it there. What the options are for is told in [generating](generating.md), [structured output](structured-output.md), [chat](chat.md), [loading](loading.md), [embeddings](embeddings.md), [ranking](reranking.md), [LoRA](lora.md), [objects and tools](objects-and-tools.md), [sessions](sessions.md) and [boards](rk3588.md).

A value outside its range, a wrong type or an unknown name is refused with \`invalid-request\`, which names the option. An option that this version cannot honour is refused with \`unsupported\`. \`undefined\` counts as absent.

## Numbers

Values are checked against the table that these rows are taken from.

`

const HEADING = '\n## Everything else\n'

/** The interfaces whose options are listed, in the order of the page. */
const TABLES = [
  { heading: 'Generation', file: 'ts/generate-options.ts', name: 'GenerateOptions' },
  { heading: 'Chat: those of generation, and', file: 'ts/chat-options.ts', name: 'ChatTemplateOptions' },
  { file: 'ts/chat-options.ts', name: 'ChatOptions' },
  { heading: 'Objects: those of chat but for what would leave none, and', file: 'ts/objects/object-result.ts', name: 'GenerateObjectOptions', all: true },
  { heading: 'Running tools: those of chat, and', file: 'ts/tools/run-tools-options.ts', name: 'RunToolsOptions', all: true },
  { heading: 'Sessions: those of running tools, and', file: 'ts/session/session-options.ts', name: 'ChatSessionOptions', all: true },
  { heading: 'Loading', file: 'ts/load-options.ts', name: 'LoadOptions' },
  {
    heading: 'Loading on an NPU: `contextSize`, `maxQueue`, `chatTemplate`, `isolate`, `onProgress`, `onLog`, `signal`, and',
    file: 'ts/rkllm-options.ts',
    name: 'NpuOptions',
    numbers: [
      'maxContextLength',
      'temperature',
      'topK',
      'topP',
      'repeatPenalty',
      'frequencyPenalty',
      'presencePenalty',
      'mirostat',
      'mirostatTau',
      'mirostatEta',
    ],
  },
  { heading: 'Generation on an NPU: those of generation, and', file: 'ts/rkllm-options.ts', name: 'RKLLMGenerateOptions' },
  { heading: 'Images of a prompt on an NPU: `image`', file: 'ts/image-prompt.ts', name: 'EncodedImages' },
  { heading: 'What stands round images: `imageTags`', file: 'ts/image-prompt.ts', name: 'ImageTags' },
  { heading: 'Clearing the cache of an NPU', file: 'ts/rkllm-options.ts', name: 'ClearCacheOptions', all: true },
  { heading: 'Ranking', file: 'ts/rerank.ts', name: 'RerankOptions', all: true },
  { heading: 'Embedding', file: 'ts/embed.ts', name: 'EmbedOptions', all: true },
  { heading: 'Tokenizing', file: 'ts/tokenize-options.ts', name: 'TokenizeOptions' },
  { heading: 'Adapters', file: 'ts/lora.ts', name: 'LoadLoraOptions', all: true },
]

/** The types that the tables name. */
const ALIASES = [
  { file: 'ts/generate-options.ts', name: 'LogitBias' },
  { file: 'ts/generate-options.ts', name: 'LoraSelection' },
  { file: 'ts/response-format.ts', name: 'JsonSchema' },
  { file: 'ts/response-format.ts', name: 'ResponseFormat' },
  { file: 'ts/sampler-name.ts', name: 'SamplerName' },
  { file: 'ts/token-callback.ts', name: 'OnToken' },
  { file: 'ts/load-options.ts', name: 'KvCacheType' },
  { file: 'ts/load-options.ts', name: 'Pooling' },
  { file: 'ts/session/session-options.ts', name: 'ContextStrategy' },
  { file: 'ts/path.ts', name: 'FilePath' },
]

/** The whole page; `numbers` is what the Rust example `option_tables` prints. */
export async function optionsPage(numbers) {
  return INTRODUCTION + numbers + (await otherOptions())
}

/** Everything on the page that does not come from Rust. */
export async function pageWithoutNumbers() {
  return { before: INTRODUCTION, after: await otherOptions() }
}

async function otherOptions() {
  const { default: ts } = await import('typescript')
  return HEADING + TABLES.map((table) => section(ts, table)).join('') + types(ts)
}

/** Numbers are in the tables from Rust, but for `numbers`, which those have no row for. */
function section(ts, { heading, file, name, all = false, numbers = [] }) {
  const isShown = (option) => all || option.type !== 'number' || numbers.includes(option.name)
  const rows = optionsOf(ts, file, name).filter(isShown)
  const head = heading === undefined ? '' : `\n### ${heading}\n\n| option | type | default | meaning |\n|---|---|---|---|\n`
  return head + rows.map(row).join('')
}

function types(ts) {
  const rows = ALIASES.map(({ file, name }) => {
    const alias = declaration(ts, file, name)
    return cells([`\`${name}\``, `\`${typeText(alias.type)}\``, comment(ts, alias)])
  })
  return `\n### Types\n\n| type | is | meaning |\n|---|---|---|\n${rows.join('')}`
}

function row({ name, type, fallback, meaning }) {
  return cells([`\`${name}\``, `\`${type}\``, fallback, meaning])
}

function cells(texts) {
  return `| ${texts.map((cell) => cell.replaceAll('|', '\\|')).join(' | ')} |\n`
}

/** The properties of an interface with what their doc comments say. */
function optionsOf(ts, file, name) {
  return declaration(ts, file, name).members.map((member) => {
    const tag = ts.getJSDocTags(member).find(({ tagName }) => tagName.text === 'defaultValue')
    return {
      name: member.name.text,
      type: typeText(member.type).replace(/ \| undefined$/, ''),
      fallback: tag === undefined ? '' : text(ts, tag.comment),
      meaning: comment(ts, member),
    }
  })
}

function declaration(ts, file, name) {
  const source = ts.createSourceFile(file, readFileSync(inRepository(file), 'utf8'), ts.ScriptTarget.ES2022, true)
  return source.statements.find((statement) => statement.name?.text === name)
}

function typeText(type) {
  return oneLine(type.getText().replaceAll(/\breadonly /g, '')).replace(/^\| /, '')
}

function comment(ts, node) {
  const [found] = ts.getJSDocCommentsAndTags(node).filter(ts.isJSDoc)
  return text(ts, found?.comment)
}

/** A doc comment as Markdown: links become names. */
function text(ts, comment) {
  return oneLine(ts.getTextOfJSDocComment(comment) ?? '').replaceAll(/\{@link ([\w.]+)\}/g, '`$1`')
}

function oneLine(words) {
  return words.replaceAll(/\s+/g, ' ').trim()
}

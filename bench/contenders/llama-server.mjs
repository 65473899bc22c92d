import { execFile, spawn } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { createServer } from 'node:net'
import { promisify } from 'node:util'

export const name = 'llama-server'

const program = process.env.LLAMA_SERVER
/** Clock ticks of a second in /proc, on every Linux that Node.js runs on. */
const TICKS = 100
const READY_MOST_MS = 120_000

export async function find() {
  if (program === undefined) throw new Error('LLAMA_SERVER names no program')
  const { stderr, stdout } = await promisify(execFile)(program, ['--version'])
  return /version: .*/.exec(stderr + stdout)?.[0] ?? 'unknown version'
}

export async function start({ model, threads, context, sequences }) {
  const port = await freePort()
  const url = `http://127.0.0.1:${port}`
  const began = performance.now()
  const args = ['-m', model, '-t', threads, '-tb', threads, '-np', sequences, '-c', context * sequences, '--port', port]
  const child = spawn(program, [...args.map(String), '--no-webui'], { stdio: 'ignore' })
  const gone = new Promise((resolve) => child.once('exit', resolve))
  const close = async () => {
    child.kill('SIGTERM')
    const timer = setTimeout(() => child.kill('SIGKILL'), 10_000)
    await gone
    clearTimeout(timer)
  }
  try {
    await ready(url, child, began)
  } catch (error) {
    await close()
    throw error
  }
  return {
    loadMs: performance.now() - began,
    pid: child.pid,
    run: (request) => run(url, child.pid, request),
    close,
  }
}

async function ready(url, child, began) {
  while (child.exitCode === null && performance.now() - began < READY_MOST_MS) {
    const response = await fetch(`${url}/health`).catch(() => undefined)
    if (response?.ok === true) return
    await new Promise((resolve) => setTimeout(resolve, 10))
  }
  throw new Error('llama-server does not get ready')
}

async function run(url, pid, { prompts, maxTokens, way }) {
  const cpu = cpuMs(pid)
  const began = performance.now()
  const firstTokenMs = []
  const onFirst = () => firstTokenMs.push(performance.now() - began)
  const answers = await Promise.all(prompts.map((prompt) => ask[way](url, prompt, maxTokens, onFirst)))
  const sum = (field) => answers.reduce((total, answer) => total + answer[field], 0)
  return {
    wallMs: performance.now() - began,
    cpuMs: cpuMs(pid) - cpu,
    firstTokenMs,
    promptTokens: sum('promptTokens'),
    completionTokens: sum('completionTokens'),
  }
}

const ask = {
  async generate(url, prompt, maxTokens, onFirst) {
    const body = { prompt, n_predict: maxTokens, temperature: 0, ignore_eos: true, stream: true }
    let last
    for await (const event of events(`${url}/completion`, body)) {
      if (last === undefined) onFirst()
      last = event
    }
    return { promptTokens: last.tokens_evaluated, completionTokens: last.tokens_predicted }
  },
  async chat(url, prompt, maxTokens, onFirst) {
    const messages = [{ role: 'user', content: prompt }]
    const options = { temperature: 0, ignore_eos: true, stream: true, stream_options: { include_usage: true } }
    let usage
    let isFirst = true
    for await (const event of events(`${url}/v1/chat/completions`, { messages, max_tokens: maxTokens, ...options })) {
      if (isFirst && event.choices?.[0]?.delta?.content) {
        isFirst = false
        onFirst()
      }
      usage = event.usage ?? usage
    }
    return { promptTokens: usage.prompt_tokens, completionTokens: usage.completion_tokens }
  },
}

/** The events of a streamed answer. */
async function* events(url, body) {
  const headers = { 'content-type': 'application/json' }
  const response = await fetch(url, { method: 'POST', headers, body: JSON.stringify(body) })
  if (!response.ok) throw new Error(`${url}: ${response.status} ${await response.text()}`)
  let text = ''
  for await (const bytes of response.body.pipeThrough(new TextDecoderStream())) {
    text += bytes
    const lines = text.split('\n')
    text = lines.pop()
    for (const line of lines) if (line.startsWith('data: {')) yield JSON.parse(line.slice(6))
  }
}

function cpuMs(pid) {
  // The name, in parentheses, can hold anything; the times come after it.
  const fields = readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ').at(-1).split(' ')
  return ((Number(fields[11]) + Number(fields[12])) / TICKS) * 1000
}

function freePort() {
  return new Promise((resolve, reject) => {
    const server = createServer().once('error', reject)
    server.listen(0, '127.0.0.1', () => {
      const { port } = server.address()
      server.close(() => resolve(port))
    })
  })
}

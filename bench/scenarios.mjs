import { median } from './measure/statistics.mjs'

const tokensPerSecond = {
  label: 'tokens/s',
  better: 'more',
  of: ({ completionTokens, wallMs }) => (completionTokens / wallMs) * 1000,
}
const promptTokensPerSecond = {
  label: 'prompt tokens/s',
  better: 'more',
  of: ({ promptTokens, firstTokenMs }) => (promptTokens / Math.max(...firstTokenMs)) * 1000,
}
/** Without the prompt: what comes after the first token. */
const decodedPerSecond = {
  label: 'tokens/s after the first',
  better: 'more',
  of: ({ completionTokens, wallMs, firstTokenMs }) =>
    ((completionTokens - firstTokenMs.length) / (wallMs - Math.max(...firstTokenMs))) * 1000,
}
const firstToken = { label: 'ms to the first token, median', better: 'less', of: ({ firstTokenMs }) => median(firstTokenMs) }
const cpuPerToken = {
  label: 'CPU ms/token',
  better: 'less',
  of: ({ cpuMs, promptTokens, completionTokens, firstTokenMs }) =>
    cpuMs / (completionTokens > firstTokenMs.length ? completionTokens : promptTokens),
}
/** Measured only where it is asked for: measuring it costs. */
export const loopDelay = { label: 'event loop delay p99, ms', better: 'less', of: ({ loopDelayP99Ms }) => loopDelayP99Ms }

const ONE = { requests: 1, sharedWords: 0, way: 'generate' }

function concurrent(requests, way) {
  return {
    name: `${way}-${requests}`,
    title: `${requests} answers at once, by ${way}()`,
    requests,
    way,
    sharedWords: 0,
    promptWords: 32,
    maxTokens: 64,
    context: 512,
    measures: [tokensPerSecond, cpuPerToken, firstToken, loopDelay],
  }
}

/** What is measured. `context` is the room of one sequence, in tokens. */
export const scenarios = [
  {
    ...ONE,
    name: 'prefill',
    title: 'a prompt of about 512 tokens',
    promptWords: 500,
    maxTokens: 1,
    context: 1024,
    measures: [promptTokensPerSecond, cpuPerToken],
  },
  {
    ...ONE,
    name: 'decode',
    title: 'one answer of 128 tokens',
    promptWords: 16,
    maxTokens: 128,
    context: 512,
    measures: [decodedPerSecond, cpuPerToken],
  },
  {
    ...ONE,
    name: 'decode-busy',
    title: 'one answer of 128 tokens while another process is busy',
    neighbours: 1,
    promptWords: 16,
    maxTokens: 128,
    context: 512,
    measures: [decodedPerSecond, cpuPerToken],
  },
  ...[4, 8, 16, 32].flatMap((requests) => [concurrent(requests, 'generate'), concurrent(requests, 'chat')]),
  {
    name: 'shared-prefix',
    title: '16 requests at once that share about 1,500 tokens',
    requests: 16,
    way: 'generate',
    sharedWords: 1450,
    promptWords: 16,
    maxTokens: 8,
    context: 2048,
    measures: [firstToken, tokensPerSecond],
  },
  {
    ...ONE,
    name: 'long-context',
    title: 'a prompt of about 3,500 tokens and 32 tokens of answer',
    promptWords: 3400,
    maxTokens: 32,
    context: 4096,
    measures: [promptTokensPerSecond, decodedPerSecond],
  },
]

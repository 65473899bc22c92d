/**
 * The addon's side of the border, played by a test: it writes parts when the test says so and
 * follows the same rules of flow as the real one.
 */

const TIMINGS = {
  queueMs: 1,
  prefillMs: 2,
  firstTokenMs: 3,
  decodeMs: 4,
  prefillTokensPerSecond: 5,
  tokensPerSecond: 6,
}

export function nativeError(code, message = code, { retryable = false, details = {} } = {}) {
  return { nativeError: true, code, message, retryable, details: JSON.stringify(details) }
}

export class MockGeneration {
  flow = 'folding'
  unread = 0
  unreadMost = 0
  acknowledgements = []
  cancels = 0
  ended = false
  #model
  #choices
  #pending = []

  constructor(model, id, options) {
    this.#model = model
    this.id = id
    this.options = options
    this.#choices = Array.from({ length: options.n ?? 1 }, () => ({ text: '', tokens: [], logprobs: [] }))
  }

  listen() {
    if (this.flow === 'folding') this.#replay()
    this.flow = 'listening'
  }

  stream() {
    if (this.flow === 'folding') this.#replay()
    this.flow = 'streaming'
  }

  /** The engine notices within a step, not at once. */
  cancel() {
    this.cancels += 1
    setImmediate(() => this.end({ finishReason: 'cancelled' }))
  }

  acknowledge(tokens) {
    this.acknowledgements.push(tokens)
    this.unread -= tokens
    if (this.unread < 0) throw new Error('more was acknowledged than was taken')
    this.onRoom?.()
  }

  partialText(index) {
    return this.#choices[index]?.text ?? ''
  }

  get hasRoom() {
    return this.flow !== 'streaming' || tokensOf(this.#pending) + this.unread < 64
  }

  write(text, tokens = [text.length], { index = 0, logprobs } = {}) {
    const choice = this.#choices[index]
    choice.text += text
    choice.tokens.push(...tokens)
    if (logprobs !== undefined) choice.logprobs.push(...logprobs)
    if (this.flow !== 'folding') this.#pending.push({ index, text, tokens, ...(logprobs && { logprobs }) })
    return this
  }

  /** Sends what was written. */
  flush() {
    const parts = this.#take()
    if (parts.length > 0 && !this.ended) this.#model.send([{ id: this.id, parts }])
    return this
  }

  end({ finishReason = 'stop', error, calls } = {}) {
    if (this.ended) return
    this.ended = true
    if (calls && this.flow !== 'folding') this.#pending.push(...calls.flatMap(callParts))
    const completionTokens = this.#choices.reduce((sum, { tokens }) => sum + tokens.length, 0)
    const end = {
      usage: { promptTokens: 2, completionTokens, cachedTokens: 0 },
      timings: TIMINGS,
      choices: this.#choices.map(({ text, tokens, logprobs }) => ({
        text,
        tokens: Uint32Array.from(tokens),
        finishReason,
        ...(logprobs.length > 0 && { logprobs }),
        ...(calls && { calls }),
      })),
      ...(error && { error }),
    }
    this.#model.send([{ id: this.id, parts: this.#take(), end }])
  }

  #replay() {
    this.#choices.forEach(({ text, tokens }, index) => {
      if (tokens.length > 0) this.#pending.push({ index, text, tokens: [...tokens] })
    })
    setImmediate(() => this.flush())
  }

  #take() {
    const parts = this.#pending.splice(0)
    if (this.flow === 'streaming') this.unread += tokensOf(parts)
    this.unreadMost = Math.max(this.unreadMost, this.unread)
    return parts
  }
}

export class MockModel {
  generations = []
  requests = []
  /** What the next call answers instead of a generation. */
  refusal
  /** What the engine has written by the time the call returns. */
  early

  attach(onReady) {
    const plain = (key, value) => (ArrayBuffer.isView(value) ? Array.from(value) : value)
    this.send = (news) => onReady(JSON.stringify(news, plain))
  }

  generate(prompt, options) {
    return this.#begin({ prompt, options })
  }

  chat(messages, chatOptions, options) {
    return this.#begin({ messages: JSON.parse(messages), chatOptions: JSON.parse(chatOptions), options })
  }

  tokenize(text, addSpecial, parseSpecial) {
    this.tokenized = { addSpecial, parseSpecial }
    return Uint32Array.from(text, (character) => character.codePointAt(0))
  }

  detokenize(tokens) {
    return String.fromCodePoint(...tokens)
  }

  applyChatTemplate(messages, chatOptions) {
    return `${messages}${chatOptions}`
  }

  countTokens(messages) {
    return JSON.parse(messages).length
  }

  async embed(inputs) {
    return { vectors: inputs.map(() => Float32Array.of(3, 4, 12)), promptTokens: inputs.length }
  }

  async loadLora(name) {
    return name === 'broken' ? nativeError('model-invalid') : null
  }

  async unloadLora(name) {
    return name !== 'missing'
  }

  info() {
    return JSON.stringify({ architecture: 'mock', engine: 'mock', device: 'CPU', contextSize: 4096 })
  }

  stats() {
    return { waiting: 0, running: this.generations.filter(({ ended }) => !ended).length }
  }

  async close() {
    await new Promise(setImmediate)
    for (const generation of this.generations) generation.end({ finishReason: 'cancelled' })
    return null
  }

  #begin(request) {
    this.requests.push(request)
    if (this.refusal !== undefined) return this.refusal
    const generation = new MockGeneration(this, this.generations.length + 1, request.options)
    this.generations.push(generation)
    if (this.early !== undefined) generation.write(...this.early)
    return generation
  }
}

function callParts({ id, name, arguments: given }, call) {
  const part = { index: 0, call, id, name, arguments: given, text: '', tokens: [] }
  return [{ ...part, type: 'call-delta' }, { ...part, type: 'call' }]
}

/** What the engine counts: a part of several tokens takes as much room as several parts. */
function tokensOf(parts) {
  return parts.reduce((sum, { tokens }) => sum + tokens.length, 0)
}

import { EventEmitter } from 'node:events'
import { resolve } from 'node:path'

import { checkOptions } from './check-options.js'
import { describeValue } from './describe-value.js'
import { invalidRequest, RkllmError } from './error.js'
import { GenerationRun } from './generation-run.js'
import type { RunRequest } from './generation-run.js'
import { Generation } from './generation.js'
import { isImagePrompt, toNativeImages } from './image-prompt.js'
import { InferenceWatch } from './inference-watch.js'
import { toJson } from './json.js'
import { holdWhile } from './keep-alive.js'
import { Model } from './model.js'
import { unwrap } from './native-error.js'
import { loadNative } from './native-load.js'
import { toNativeTools } from './native-tools.js'
import type { NativeCallReply, NativeModel, NativePrompt } from './native.js'
import * as table from './options.js'
import { toPath } from './path.js'
import type { FilePath } from './path.js'
import type { GenerateResult } from './result.js'
import type {
  ClearCacheOptions,
  RKLLMClientOptions,
  RKLLMGenerateOptions,
  RKLLMLoadOptions,
  RKLLMNumbers,
  RKLLMPrompt,
  RuntimeInfo,
} from './rkllm-options.js'
import type { RKLLMEvents } from './rkllm-events.js'
import type { OnToken } from './token-callback.js'
import { toTokens } from './tokens.js'
import type { ToolDefinition } from './tool.js'

const NO_TOKENS = new Uint32Array(0)

/**
 * An `.rkllm` model on a Rockchip NPU.
 *
 * It has the methods of every model, those of the NPU's runtime besides, and says what it does in events.
 *
 * @example
 * ```ts
 * const client = new RKLLMClient({ modelPath: 'qwen3.rkllm' })
 * await client.initialize()
 * const { text } = await client.generate('Once upon a time')
 * await client.close()
 * ```
 */
export class RKLLMClient extends Model {
  readonly #options: RKLLMClientOptions | undefined
  readonly #events = new EventEmitter<RKLLMEvents>()
  readonly #inference = new InferenceWatch(this.#events)
  #initializing: Promise<void> | undefined
  #functionTools: readonly ToolDefinition[] | undefined

  /** Takes the options; {@link initialize} loads the model. */
  constructor(options: RKLLMClientOptions) {
    super()
    this.#options = options
  }

  /** Loads an `.rkllm` file. */
  static async load(path: FilePath, options?: RKLLMLoadOptions): Promise<RKLLMClient> {
    const client = new RKLLMClient({ ...options, modelPath: path })
    await client.initialize()
    return client
  }

  /** Of a model that is loaded already. @internal */
  static of(nativeModel: NativeModel): RKLLMClient {
    const client = new RKLLMClient({ modelPath: '' })
    client.#initializing = Promise.resolve()
    client.attach(nativeModel)
    return client
  }

  /** Loads the model. Later calls wait for the same load; a failed one may be tried again. */
  initialize(): Promise<void> {
    this.#initializing ??= this.#load().catch((error: unknown) => {
      this.#initializing = undefined
      throw error
    })
    return this.#initializing
  }

  /**
   * Continues `prompt`: text, tokens, one vector for each token, or text with encoded images.
   *
   * @example
   * ```ts
   * const image = { embedding, tokensPerImage: 196, width: 392, height: 392 }
   * await client.generate({ text: 'What is in <image>?', image })
   * ```
   *
   * `mode: 'last-hidden-layer'` and `'logits'` resolve to numbers instead.
   */
  override generate(
    prompt: RKLLMPrompt,
    options: RKLLMGenerateOptions & { readonly mode: 'last-hidden-layer' | 'logits' },
  ): Promise<RKLLMNumbers>
  override generate(
    prompt: RKLLMPrompt,
    options?: RKLLMGenerateOptions,
  ): Generation<GenerateResult>
  override generate(
    prompt: RKLLMPrompt,
    options?: RKLLMGenerateOptions,
  ): Generation<GenerateResult> | Promise<RKLLMNumbers> {
    const mode = options?.mode
    if (mode === 'last-hidden-layer' || mode === 'logits') return this.#numbers(prompt, mode)
    const prepare = (): RunRequest => this.#prepare(prompt, options)
    return this.begun(Generation.of(new GenerationRun(prepare, ({ result }) => result)))
  }

  /**
   * Loads a prompt cache that {@link generate} has saved with `promptCache`.
   *
   * The file `<path>.rkllmjs.json`, written beside it, tells whether it is of this model, chat template, adapter
   * and version of the runtime; otherwise this rejects with `model-invalid`, and `details.part` is what differs.
   */
  async loadPromptCache(path: FilePath): Promise<void> {
    await this.#call({ call: 'load-prompt-cache', path: resolve(toPath(path)) })
  }

  /** Forgets the loaded prompt cache. */
  async releasePromptCache(): Promise<void> {
    await this.#call({ call: 'release-prompt-cache' })
  }

  /** Clears the runtime's cache. */
  async clearCache(options: ClearCacheOptions = {}): Promise<void> {
    const { keepSystemPrompt, start, end } = checkOptions(table.CLEAR_CACHE_OPTIONS, options)
    if (start === undefined && end === undefined) {
      await this.#call({ call: keepSystemPrompt === true ? 'clear-cache-but-system-prompt' : 'clear-cache' })
      return
    }
    if (keepSystemPrompt !== undefined) throw invalidRequest('keepSystemPrompt and a range exclude each other')
    await this.#call({ call: 'clear-cache-range', start, end })
  }

  /** How many positions the runtime's cache holds. */
  async cacheSize(): Promise<number> {
    return (await this.#call({ call: 'cache-size' })).count ?? 0
  }

  /** Replaces the runtime's own chat template by these pieces; three empty ones are no template. */
  async setChatTemplate(systemPrompt: string, prefix: string, postfix: string): Promise<void> {
    await this.#call({ call: 'set-chat-template', systemPrompt, prefix, postfix })
  }

  /**
   * Offers tools wherever a call brings none of its own: to {@link chat}, and to {@link generate} where the
   * runtime's own template is used, which alone reads `systemPrompt` and `responseTag`. `[]` offers none.
   */
  async setFunctionTools(systemPrompt: string, tools: readonly ToolDefinition[], responseTag: string): Promise<void> {
    if (!Array.isArray(tools)) throw invalidRequest(`tools must be an array, got ${describeValue(tools)}`, { option: 'tools' })
    const json = toJson('tools', toNativeTools(tools))
    await this.#call({ call: 'set-function-tools', systemPrompt, tools: json, responseTag })
    this.#functionTools = JSON.parse(json) as ToolDefinition[]
  }

  /** Ends every answer under way, with `finishReason: 'cancelled'`. */
  abort(): void {
    this.#inference.cancelAll()
  }

  /** The library it runs on. */
  runtimeInfo(): RuntimeInfo {
    return this.info.runtime as RuntimeInfo
  }

  /** Loads an adapter and says so in an event. */
  override async loadLora(...args: Parameters<Model['loadLora']>): Promise<void> {
    await super.loadLora(...args)
    this.#events.emit('lora:loaded', args[1].name)
  }

  override async close(): Promise<void> {
    const wasOpen = !this.isClosing
    await super.close()
    if (wasOpen) this.#events.emit('destroyed')
  }

  /** Adds a listener. */
  on<Name extends keyof RKLLMEvents>(name: Name, listener: (...args: RKLLMEvents[Name]) => void): this {
    this.#events.on(name, listener as never)
    return this
  }

  /** Adds a listener that hears one event. */
  once<Name extends keyof RKLLMEvents>(name: Name, listener: (...args: RKLLMEvents[Name]) => void): this {
    this.#events.once(name, listener as never)
    return this
  }

  /** Removes a listener. */
  off<Name extends keyof RKLLMEvents>(name: Name, listener: (...args: RKLLMEvents[Name]) => void): this {
    this.#events.off(name, listener as never)
    return this
  }

  /** Where conversations go through the runtime's own template, it knows them already. */
  protected override get defaultTools(): readonly ToolDefinition[] | undefined {
    return this.info.vocabularySize === null ? undefined : this.#functionTools
  }

  protected override begun<Result extends GenerateResult>(generation: Generation<Result>): Generation<Result> {
    this.#inference.add(generation)
    return generation
  }

  protected override tokenListener(onToken: OnToken | undefined): OnToken | undefined {
    return this.#inference.tokenListener(onToken)
  }

  async #load(): Promise<void> {
    if (this.isClosing) throw new RkllmError('closed', 'the model is closed')
    const { modelPath, ...options } = this.#options as RKLLMClientOptions
    const nativeModel = await loadNative(modelPath, options, 'rkllm')
    this.attach(nativeModel)
    this.#events.emit('initialized')
  }

  #prepare(prompt: RKLLMPrompt, options: RKLLMGenerateOptions | undefined): RunRequest {
    const nativeModel = this.opened()
    const checked = checkOptions(table.RKLLM_GENERATE_OPTIONS, options)
    const { keepHistory, promptCache, enableThinking, role } = checked
    const isPlain = [keepHistory, promptCache, enableThinking, role].every((option) => option === undefined)
    const hasVectors = prompt instanceof Float32Array || isImagePrompt(prompt)
    if (isPlain && !hasVectors) {
      const given = typeof prompt === 'string' ? prompt : toTokens('prompt', prompt)
      return this.request(checked, (nativeOptions) => nativeModel.generate(given, nativeOptions))
    }
    const extras: NativePrompt = {}
    if (role !== undefined) extras.role = role
    if (enableThinking !== undefined) extras.thinking = enableThinking
    if (keepHistory !== undefined) extras.keepHistory = keepHistory
    if (promptCache !== undefined) extras.saveCache = resolve(toPath(promptCache.save, 'promptCache.save'))
    if (typeof prompt === 'string') extras.text = prompt
    else if (prompt instanceof Float32Array) extras.embeddings = prompt
    else if (isImagePrompt(prompt)) Object.assign(extras, toNativeImages(prompt))
    const tokens = typeof prompt === 'string' || hasVectors ? NO_TOKENS : toTokens('prompt', prompt)
    return this.request(checked, (nativeOptions) => nativeModel.generateNative(tokens, extras, nativeOptions))
  }

  async #numbers(prompt: RKLLMPrompt, mode: 'last-hidden-layer' | 'logits'): Promise<RKLLMNumbers> {
    if (prompt instanceof Float32Array || isImagePrompt(prompt)) {
      throw invalidRequest(`mode ${mode} takes text or tokens`, { option: 'mode' })
    }
    const tokens = typeof prompt === 'string' ? this.tokenize(prompt, { addSpecial: true }) : toTokens('prompt', prompt)
    const { values = new Float32Array(0), row = 0 } = await this.#call({ call: mode }, tokens)
    return { values, rows: row === 0 ? 0 : values.length / row, size: row }
  }

  async #call(call: object, tokens: Uint32Array = NO_TOKENS): Promise<NativeCallReply> {
    return unwrap(await holdWhile(this.opened().callNative(JSON.stringify(call), tokens)))
  }
}

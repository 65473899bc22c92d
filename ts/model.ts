/// <reference lib="esnext.disposable" preserve="true" />
import { resolve } from 'node:path'

import type { Answer } from './answer.js'
import type { ChatOptions, ChatTemplateOptions } from './chat-options.js'
import { checkOptions } from './check-options.js'
import { toChatResult } from './completion.js'
import type { LoadControlVectorOptions, LoadedControlVector } from './control-vectors.js'
import { describeValue } from './describe-value.js'
import { shapeVector, toInputs } from './embed.js'
import type { EmbedOptions, EmbedResult } from './embed.js'
import { RkllmError, invalidRequest } from './error.js'
import type { GenerateOptions } from './generate-options.js'
import { GenerationRouter } from './generation-router.js'
import type { ReadyListener } from './generation-router.js'
import { GenerationRun } from './generation-run.js'
import type { RunRequest } from './generation-run.js'
import { Generation } from './generation.js'
import { refuseImages } from './image-prompt.js'
import { holdWhile } from './keep-alive.js'
import type { LoadOptions } from './load-options.js'
import { LoadedLoras } from './lora.js'
import type { LoadLoraOptions, LoadedLora } from './lora.js'
import type { Message } from './message.js'
import type { ModelInfo } from './model-info.js'
import type { ModelStats } from './model-stats.js'
import { toNativeChatOptions } from './native-chat-options.js'
import { unwrap } from './native-error.js'
import { toNativeGenerateOptions } from './native-generate-options.js'
import { toNativeConversation, toNativeMessages } from './native-messages.js'
import type { NativeError, NativeGenerateOptions, NativeGeneration, NativeModel, NativeReady, NativeTask } from './native.js'
import * as table from './options.js'
import { generateObject } from './objects/generate-object.js'
import type { GenerateObjectOptions, ObjectPart, ObjectResult } from './objects/object-result.js'
import { toPath } from './path.js'
import type { FilePath } from './path.js'
import { toDocuments } from './rerank.js'
import type { RerankOptions, RerankResult } from './rerank.js'
import type { JsonSchema } from './response-format.js'
import type { ChatResult, GenerateResult } from './result.js'
import { runTask } from './run-task.js'
import type { StopTask } from './run-task.js'
import type { InputOf, OutputOf, TypedSchema } from './schema/schema.js'
import { ChatSession } from './session/chat-session.js'
import type { ChatSessionOptions } from './session/session-options.js'
import { toNativeSavedPrompt } from './state.js'
import type { LoadStateOptions, LoadedState, SaveStateOptions, SavedState } from './state.js'
import type { OnToken } from './token-callback.js'
import type { TokenizeOptions } from './tokenize-options.js'
import { toTokens } from './tokens.js'
import type { ToolDefinition } from './tool.js'
import { runTools } from './tools/run-tools.js'
import type { RunToolsOptions } from './tools/run-tools-options.js'
import type { ToolRunPart, ToolRunResult } from './tools/tool-result.js'

/**
 * What every model can do, whichever engine runs it.
 *
 * It serves any number of calls at the same time: what does not fit the batch waits in a queue.
 * An open model does not keep the process running; {@link close} gives its memory back early.
 */
export abstract class Model implements AsyncDisposable {
  #native: NativeModel | undefined
  #info: ModelInfo | undefined
  readonly #router = new GenerationRouter()
  readonly #loras = new LoadedLoras()
  readonly #controlVectors = new LoadedLoras('controlVectors', 'control vector')
  #closing: Promise<void> | undefined
  #shiftsContext = false

  /** What the model is and how it runs. Stays readable after {@link close}. */
  get info(): ModelInfo {
    if (this.#info === undefined) throw notLoaded()
    return this.#info
  }

  /** Whether an answer goes on in a full context. @internal */
  get shiftsContext(): boolean {
    return this.#shiftsContext
  }

  /** Takes the addon's side of the model, once it is loaded. @internal */
  protected attach(nativeModel: NativeModel, options?: LoadOptions): void {
    this.#shiftsContext = options?.contextOverflow === 'shift'
    this.#native = nativeModel
    this.#info = JSON.parse(nativeModel.info()) as ModelInfo
    // Not `this`: the addon holds the callback, and a model it held on to would never be collected.
    const router = this.#router
    nativeModel.attach((news) => router.deliver(JSON.parse(news) as NativeReady[]))
  }

  /** The addon's side of the model, which must be open. @internal */
  protected opened(): NativeModel {
    if (this.#closing !== undefined) throw new RkllmError('closed', 'the model is closed')
    if (this.#native === undefined) throw notLoaded()
    return this.#native
  }

  /** Whether {@link close} was called. @internal */
  protected get isClosing(): boolean {
    return this.#closing !== undefined
  }

  /** The adapters that requests can name. */
  get loras(): readonly LoadedLora[] {
    return this.#loras.all
  }

  /**
   * Continues `prompt`, which is taken as it is: no template is applied.
   *
   * Never throws: every problem rejects the generation, and reaches a loop over it.
   *
   * @example
   * ```ts
   * const { text } = await model.generate('Once upon a time', { maxTokens: 64, temperature: 0 })
   * ```
   *
   * Rejects with an {@link RkllmError}: `invalid-request` and `unsupported` about an option,
   * `context-exceeded` if the prompt does not fit, `overloaded` if the queue is full, which is
   * worth retrying.
   */
  generate(prompt: string | Uint32Array | readonly number[], options?: GenerateOptions): Generation<GenerateResult> {
    const prepare = (): RunRequest => {
      const nativeModel = this.opened()
      refuseImages(prompt)
      const given = typeof prompt === 'string' ? prompt : toTokens('prompt', prompt)
      const checked = checkOptions(table.GENERATE_OPTIONS, options)
      return this.request(checked, (nativeOptions) => nativeModel.generate(given, nativeOptions))
    }
    return this.begun(Generation.of(new GenerationRun(prepare, ({ result }) => result)))
  }

  /**
   * Writes the next message of a conversation.
   *
   * Await it for the whole message, or iterate it for the parts as they are made; both read the
   * same generation. Leaving the loop early cancels it and frees its place in the batch: the
   * result then has `finishReason: 'cancelled'` and nothing is thrown.
   *
   * @example
   * ```ts
   * for await (const part of model.chat([{ role: 'user', content: 'Why is the sky blue?' }])) {
   *   if (part.type === 'text-delta') process.stdout.write(part.text)
   * }
   * ```
   *
   * Rejects as {@link generate} does.
   */
  chat(messages: readonly Message[], options?: ChatOptions): Generation<ChatResult> {
    const prepare = (): RunRequest => {
      const nativeModel = this.opened()
      const conversation = toNativeConversation(messages)
      const checked = checkOptions(table.CHAT_OPTIONS, options)
      const template = this.#templateOptions(checked)
      return this.request(checked, (nativeOptions) => nativeModel.chat(conversation.messages, template, nativeOptions, conversation.media))
    }
    return this.begun(Generation.of(new GenerationRun(prepare, toChatResult)))
  }

  /**
   * Writes an object that fits a schema: the answer is held to it while it is written, parsed, and then validated by
   * the schema itself, whose transforms apply.
   *
   * Await it for the result, whose `object` has the type of the schema, or iterate it for the parts, among them
   * `object-delta` with what there is so far. The model does not read the schema: say in the messages what is wanted.
   *
   * @example
   * ```ts
   * const schema = z.object({ name: z.string(), age: z.number() })
   * const messages = [{ role: 'user', content: 'Extract the name and age as JSON: Bob is 42 years old.' }] as const
   * const { object } = await model.generateObject(messages, { schema })
   * ```
   *
   * Rejects as {@link chat} does, and with `invalid-request` or `context-exceeded` if the answer became too long to be
   * whole, `engine-failed` if it does not pass the schema (`details.issues`), `invalid-request` if it was cancelled;
   * `details.text` has the text so far.
   */
  generateObject<Schema extends TypedSchema>(
    messages: readonly Message[],
    options: GenerateObjectOptions<Schema>,
  ): Answer<ObjectResult<OutputOf<Schema>>, ObjectPart<OutputOf<Schema>, InputOf<Schema>>>
  generateObject<Output = unknown>(
    messages: readonly Message[],
    options: GenerateObjectOptions<JsonSchema>,
  ): Answer<ObjectResult<Output>, ObjectPart<Output>>
  generateObject(
    messages: readonly Message[],
    options: GenerateObjectOptions<unknown>,
  ): Answer<ObjectResult<never>, ObjectPart<never>> {
    return generateObject(this, messages, options) as Answer<ObjectResult<never>, ObjectPart<never>>
  }

  /**
   * Calls tools until the model answers: those of one answer at the same time. What a tool gives or throws goes back
   * to the model.
   *
   * Await it for the result, or iterate it for the parts of every step.
   *
   * @example
   * ```ts
   * const weather = tool({ name: 'weather', input: z.object({ city: z.string() }), execute: ({ city }) => forecast(city) })
   * const { text } = await model.runTools([{ role: 'user', content: 'How is the weather in Oslo?' }], { tools: [weather] })
   * ```
   *
   * Rejects as {@link chat} does; `signal` aborts the tools too.
   */
  runTools(messages: readonly Message[], options: RunToolsOptions): Answer<ToolRunResult, ToolRunPart> {
    return runTools(this, messages, options)
  }

  /** A conversation that remembers; the same as `new ChatSession(model, options)`. */
  session(options?: ChatSessionOptions): ChatSession {
    return new ChatSession(this, options)
  }

  /** Splits text into the model's tokens. */
  tokenize(text: string, options?: TokenizeOptions): Uint32Array {
    const nativeModel = this.opened()
    checkText('text', text)
    const { addSpecial = false, parseSpecial = false } = checkOptions(table.TOKENIZE_OPTIONS, options)
    return unwrap(nativeModel.tokenize(text, addSpecial, parseSpecial))
  }

  /** Joins tokens into text. */
  detokenize(tokens: Uint32Array | readonly number[]): string {
    const nativeModel = this.opened()
    return unwrap(nativeModel.detokenize(toTokens('tokens', tokens)))
  }

  /** How many tokens a conversation takes as a prompt. */
  countTokens(messages: readonly Message[], options?: ChatTemplateOptions): number {
    const nativeModel = this.opened()
    const conversation = toNativeMessages(messages)
    const checked = checkOptions(table.CHAT_TEMPLATE_OPTIONS, options)
    return unwrap(nativeModel.countTokens(conversation, this.#templateOptions(checked)))
  }

  /** The prompt that the model's template makes of a conversation. */
  applyChatTemplate(messages: readonly Message[], options?: ChatTemplateOptions): string {
    const nativeModel = this.opened()
    const conversation = toNativeMessages(messages)
    const checked = checkOptions(table.CHAT_TEMPLATE_OPTIONS, options)
    return unwrap(nativeModel.applyChatTemplate(conversation, this.#templateOptions(checked)))
  }

  /**
   * Makes a vector of each text, for comparing their meaning.
   *
   * @example
   * ```ts
   * const { embeddings } = await model.embed(['a cat', 'a kitten'], { dimensions: 256 })
   * ```
   */
  async embed(input: string | readonly string[], options?: EmbedOptions): Promise<EmbedResult> {
    const nativeModel = this.opened()
    const inputs = toInputs(input)
    const checked = checkOptions(table.EMBED_OPTIONS, options)
    if (inputs.length === 0) return { embeddings: [], usage: { promptTokens: 0 } }
    const { vectors, promptTokens } = unwrap(await holdWhile(nativeModel.embed(inputs)))
    return { embeddings: vectors.map((vector) => shapeVector(vector, checked)), usage: { promptTokens } }
  }

  /**
   * Orders documents by how well they answer a query.
   *
   * A reranking model with a head of its own (`info.ranksWith` is `'head'`) reads the query with each document
   * and gives the score. Any other is asked about each document, through its chat template, whether it fits; the
   * score is then its probability of "yes" against "no".
   *
   * @example
   * ```ts
   * const { results } = await model.rerank('How tall is Everest?', ['It is 8849 m high.', 'Cats purr.'], { topN: 1 })
   * ```
   *
   * Rejects with an {@link RkllmError}: `invalid-request` and `unsupported` naming what is wrong,
   * `context-exceeded` if a document does not fit with the query (`details.document` is its place),
   * `overloaded` if the queue is full.
   */
  async rerank(query: string, documents: readonly string[], options?: RerankOptions): Promise<RerankResult> {
    const nativeModel = this.opened()
    checkText('query', query)
    const texts = toDocuments(documents)
    const { topN = null, instruction = null } = checkOptions(table.RERANK_OPTIONS, options)
    const { indexes, scores, promptTokens } = unwrap(
      await holdWhile(nativeModel.rerank(query, texts, instruction, topN)),
    )
    const results = indexes.map((index, place) => ({ index, score: scores[place] as number }))
    return { results, usage: { promptTokens } }
  }

  /**
   * Loads a LoRA adapter, which requests then choose with their `lora` option.
   *
   * @example
   * ```ts
   * await model.loadLora('pirate.gguf', { name: 'pirate' })
   * await model.generate('Ahoy', { lora: 'pirate' })
   * await model.generate('Ahoy', { lora: { pirate: 0.5 } })
   * ```
   */
  async loadLora(path: FilePath, options: LoadLoraOptions): Promise<void> {
    const nativeModel = this.opened()
    const file = toPath(path)
    const { name, scale = 1 } = checkOptions(table.LOAD_LORA_OPTIONS, options)
    if (name === undefined || name === '') throw invalidRequest('name must be given', { option: 'name' })
    if (!Number.isFinite(scale)) throw invalidRequest(`scale must be finite, got ${scale}`, { option: 'scale' })
    await this.#loras.add({ name, path: file, scale }, async () => {
      unwrap(await holdWhile(nativeModel.loadLora(name, file, scale)))
    })
  }

  /**
   * Unloads an adapter; resolves to false if none has that name. An NPU's runtime cannot: there it rejects with
   * `unsupported`, and the adapter stays until the model is closed.
   */
  async unloadLora(name: string): Promise<boolean> {
    const nativeModel = this.opened()
    checkText('name', name)
    const wasLoaded = unwrap(await holdWhile(nativeModel.unloadLora(name)))
    this.#loras.remove(name)
    return wasLoaded
  }

  /** The control vectors that requests can name. */
  get controlVectors(): readonly LoadedControlVector[] {
    return this.#controlVectors.all
  }

  /**
   * Loads a control vector, which requests then choose with their `controlVectors` option: a direction for
   * each layer that is added to what the layer computes.
   *
   * @example
   * ```ts
   * await model.loadControlVector('happy.gguf', { name: 'happy', layers: [10, 20] })
   * await model.generate('I feel', { controlVectors: { happy: 0.8 } })
   * ```
   */
  async loadControlVector(path: FilePath, options: LoadControlVectorOptions): Promise<void> {
    const nativeModel = this.opened()
    const file = toPath(path)
    const { name, scale = 1, layers } = checkOptions(table.LOAD_CONTROL_VECTOR_OPTIONS, options)
    if (name === undefined || name === '') throw invalidRequest('name must be given', { option: 'name' })
    if (!Number.isFinite(scale)) throw invalidRequest(`scale must be finite, got ${scale}`, { option: 'scale' })
    await this.#controlVectors.add({ name, path: file, scale }, async () => {
      const [first, last] = layers ?? [null, null]
      unwrap(await holdWhile(nativeModel.loadControlVector(name, file, first, last)))
    })
  }

  /** Unloads a control vector; resolves to false if none has that name. */
  async unloadControlVector(name: string): Promise<boolean> {
    const nativeModel = this.opened()
    checkText('name', name)
    const wasLoaded = unwrap(await holdWhile(nativeModel.unloadControlVector(name)))
    this.#controlVectors.remove(name)
    return wasLoaded
  }

  /**
   * Saves what the cache holds of a conversation, so that {@link loadState} spares computing it again: after a
   * restart, or in another process with the same model.
   *
   * The file takes the place of one that is there, once it is whole.
   *
   * @example
   * ```ts
   * await model.chat(messages)
   * const { tokens, bytes } = await model.saveState('talk.state')
   * ```
   *
   * Rejects with an {@link RkllmError}: `not-found` if nothing of it is in the cache, `invalid-request` for a path
   * that cannot be written, `engine-failed` where the disk is full, `unsupported` for models that keep nothing of
   * ended requests: those on an NPU, which have `promptCache`, and those with a sliding window or a running state.
   */
  async saveState(path: FilePath, options?: SaveStateOptions): Promise<SavedState> {
    const file = resolve(toPath(path))
    const checked = checkOptions(table.SAVE_STATE_OPTIONS, options)
    const { tenant = null, signal } = checked
    const begins = toNativeSavedPrompt(checked)
    return this.runTask<SavedState>(signal, (nativeModel) => nativeModel.saveState(file, begins, tenant))
  }

  /**
   * Loads what {@link saveState} has saved. The next request that begins like it finds it in the cache, as
   * `usage.cachedTokens` tells.
   *
   * Rejects with an {@link RkllmError}: `not-found`, `model-invalid` if the file is damaged or is not of this model,
   * `kvCacheType` and adapters (`details.part` is what differs), `context-exceeded`, and `overloaded` where running
   * requests leave no room.
   */
  async loadState(path: FilePath, options?: LoadStateOptions): Promise<LoadedState> {
    const file = resolve(toPath(path))
    const { tenant = null, signal } = checkOptions(table.LOAD_STATE_OPTIONS, options)
    return this.runTask<LoadedState>(signal, (nativeModel) => nativeModel.loadState(file, tenant))
  }

  /** Queue, sequences, cache use and speed at this moment. */
  stats(): ModelStats {
    const nativeModel = this.opened()
    return nativeModel.stats()
  }

  /**
   * Ends running generations with `finishReason: 'cancelled'`, then frees the model.
   *
   * Later calls wait for the same end; every other method then fails with `closed`.
   */
  close(): Promise<void> {
    this.#closing ??= this.release()
    return this.#closing
  }

  /** Frees what {@link attach} took. @internal */
  protected async release(): Promise<void> {
    if (this.#native !== undefined) await holdWhile(this.#native.close())
  }

  /** The same as {@link close}, for `await using`. */
  [Symbol.asyncDispose](): Promise<void> {
    return this.close()
  }

  /** Hears of every generation as it begins. @internal */
  protected begun<Result extends GenerateResult>(generation: Generation<Result>): Generation<Result> {
    return generation
  }

  /** What hears the tokens of a request. @internal */
  protected tokenListener(onToken: OnToken | undefined): OnToken | undefined {
    return onToken
  }

  /** The tools of conversations that bring none of their own. @internal */
  protected get defaultTools(): readonly ToolDefinition[] | undefined {
    return undefined
  }

  /** The result of work on the open model that can be stopped. @internal */
  async runTask<Result>(
    signal: AbortSignal | undefined,
    make: (nativeModel: NativeModel, stop: StopTask) => NativeTask,
  ): Promise<Result> {
    const nativeModel = this.opened()
    const result = await runTask<Result>(signal, (stop) => make(nativeModel, stop))
    // A model that nobody holds any more is collected, and closes in the middle of the work.
    void this.#native
    return result
  }

  /** A request that may start. @internal */
  protected request(
    options: GenerateOptions & Pick<ChatOptions, 'responseFormat'>,
    call: (nativeOptions: NativeGenerateOptions) => NativeGeneration | NativeError,
  ): RunRequest {
    const nativeOptions = toNativeGenerateOptions(options, this.#loras, this.#controlVectors)
    const begin = (listener: ReadyListener): NativeGeneration => {
      const generation = unwrap(call(nativeOptions))
      this.#router.add(generation.id, listener)
      return generation
    }
    return { begin, owner: this, signal: options.signal, onToken: this.tokenListener(options.onToken) }
  }

  #templateOptions(options: ChatTemplateOptions): string {
    return toNativeChatOptions({ ...options, tools: options.tools ?? this.defaultTools })
  }
}

function notLoaded(): RkllmError {
  return new RkllmError('unavailable', 'the model is not loaded yet: await initialize() first')
}

function checkText(name: string, value: unknown): void {
  if (typeof value !== 'string') throw invalidRequest(`${name} must be a string, got ${describeValue(value)}`)
}

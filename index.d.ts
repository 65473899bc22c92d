/** A result, or a failure as a value. */
export type NativeResult<T> = T | NativeError

/**
 * Which binding artifact the generated loader actually loaded: `'native'` for
 * a native addon, otherwise the `platformArchABI` of the WASI flavor. Every
 * flavor napi-rs can build is listed, because `NAPI_RS_NATIVE_LIBRARY_PATH`
 * can point the loader at a WASI artifact this package does not build itself.
 */
export declare const __napiBindingTarget: 'native' | 'wasm32-wasi' | 'wasm32-wasip1'

/** One request in flight. Until `listen` or `stream` is called, its parts fold into the result. */
export declare class NativeGeneration {
  /** Names it in what `attach` hears. */
  get id(): number
  /** Parts arrive as fast as they are made. */
  listen(): void
  /** Parts arrive while fewer than 64 tokens wait for `acknowledge`; the text so far comes first. */
  stream(): void
  /** Frees its place within one step. */
  cancel(): void
  /** Says that the user has read parts of this many more tokens. */
  acknowledge(tokens: number): void
  /** The text of one choice so far. */
  partialText(index: number): string
}

/** A load under way. */
export declare class NativeLoading {
  /** Begins the load, once. */
  promise(): Promise<NativeModel | NativeError>
  /** Stops it soon; the promise then resolves to a failure. */
  cancel(): void
}

/** A running model. */
export declare class NativeModel {
  /**
   * Makes `onNews` hear of every generation, on this thread, as a JSON array. To be called once, before
   * the first.
   */
  attach(onNews: (arg: string) => unknown): void
  /** Starts an answer to a raw prompt. */
  generate(prompt: string | Uint32Array, options: NativeGenerateOptions): NativeResult<NativeGeneration>
  /** Starts an answer to a prompt that the engine reads itself. */
  generateNative(tokens: Uint32Array, prompt: NativePrompt, options: NativeGenerateOptions): NativeResult<NativeGeneration>
  /** Does what only an engine with caches and templates of its own can do; `call` is JSON. */
  callNative(call: string, tokens: Uint32Array): Promise<NativeCallReply | NativeError>
  /** Starts an answer to a conversation, given as JSON. */
  chat(messages: string, chatOptions: string, options: NativeGenerateOptions, media: Array<NativeMedium>): NativeResult<NativeGeneration>
  /** The tokens of a text. */
  tokenize(text: string, addSpecial: boolean, parseSpecial: boolean): NativeResult<Uint32Array>
  /** The text of tokens. */
  detokenize(tokens: Uint32Array): NativeResult<string>
  /** A conversation as the text of a prompt. */
  applyChatTemplate(messages: string, chatOptions: string): NativeResult<string>
  /** How many tokens a conversation takes. */
  countTokens(messages: string, chatOptions: string): NativeResult<number>
  /** The vectors of several texts. */
  embed(inputs: Array<string>): Promise<NativeEmbeddings | NativeError>
  /** Which documents answer a query best. */
  rerank(query: string, documents: Array<string>, instruction?: string | undefined | null, topN?: number | undefined | null): Promise<NativeRanking | NativeError>
  /** Makes it ready to compute how well the model foretells a text. */
  perplexity(text: string, contextSize?: number | undefined | null, onProgress?: ((arg: number) => unknown) | undefined | null): NativeTask
  /** Loads an adapter under a name. */
  loadLora(name: string, path: string, scale: number): Promise<NativeError | null>
  /** Unloads an adapter; whether it was there. */
  unloadLora(name: string): Promise<boolean | NativeError>
  /** Loads a control vector under a name, for all layers or from the first to the last of two. */
  loadControlVector(name: string, path: string, firstLayer?: number | undefined | null, lastLayer?: number | undefined | null): Promise<NativeError | null>
  /** Unloads a control vector; whether it was there. */
  unloadControlVector(name: string): Promise<boolean | NativeError>
  /** What the model is and how it runs, as JSON. */
  info(): string
  /** A look at the work going on. */
  stats(): NativeStats
  /** Ends everything and resolves once the engine's thread has ended. May be called again. */
  close(): Promise<null>
  /** Makes it ready to save what the cache holds of a conversation. */
  saveState(path: string, prompt: NativeSavedPrompt, tenant?: string | undefined | null): NativeTask
  /** Makes it ready to load a saved conversation. */
  loadState(path: string, tenant?: string | undefined | null): NativeTask
}

/** Work that takes long and can be stopped. */
export declare class NativeTask {
  /** Begins the work, once. Its result is JSON. */
  promise(): Promise<string | NativeError>
  /** Stops it soon; the promise then resolves to a failure, unless it was done already. */
  cancel(): void
}

/** What this machine can run and why not more, as JSON. */
export declare function diagnose(models: Array<string>, libraryPath: string | undefined | null, addonFolder: string): Promise<string | NativeError>

/** What a GGUF file says about itself, as JSON. */
export declare function inspect(path: string): Promise<string | NativeError>

/** Makes a load ready; it begins with `promise()`. */
export declare function loadModel(path: string, options: NativeLoadOptions, onProgress?: ((arg: number) => unknown) | undefined | null, onLog?: ((arg0: string, arg1: string) => unknown) | undefined | null): NativeLoading

/** What a call to the NPU's runtime gives. */
export interface NativeCallReply {
  /** Rows of `row` numbers, one after the other. */
  values?: Float32Array
  row?: number
  count?: number
}

/** Vectors of several texts. */
export interface NativeEmbeddings {
  /** One a text, not normalised. */
  vectors: Array<Float32Array>
  /** Tokens of all texts. */
  promptTokens: number
}

/** Encoded images for a prompt's text; every range is checked behind this border. */
export interface NativeEncodedImages {
  embedding: Float32Array
  count?: number
  tokensPerImage?: number
  width?: number
  height?: number
}

/** A program with its arguments. */
export interface NativeEngineProgram {
  program: string
  arguments: Array<string>
}

/** A failure as a value. */
export interface NativeError {
  /** Always true: tells this from any result. */
  nativeError: boolean
  /** The published code. */
  code: string
  /** One sentence for people. */
  message: string
  /** Whether the same call may succeed later. */
  retryable: boolean
  /** Facts for code, as a JSON object. */
  details: string
}

/** Generation options; every range is checked behind this border. */
export interface NativeGenerateOptions {
  maxTokens?: number
  temperature?: number
  topK?: number
  topP?: number
  minP?: number
  typicalP?: number
  topNSigma?: number
  xtcProbability?: number
  xtcThreshold?: number
  dynatempRange?: number
  repeatPenalty?: number
  repeatLastN?: number
  frequencyPenalty?: number
  presencePenalty?: number
  dryMultiplier?: number
  dryBase?: number
  dryAllowedLength?: number
  mirostat?: number
  mirostatTau?: number
  mirostatEta?: number
  seed?: number
  ignoreEos?: boolean
  logprobs?: boolean
  topLogprobs?: number
  n?: number
  priority?: number
  timeoutMs?: number
  readerTimeoutMs?: number
  stop?: Array<string>
  stopTokens?: Array<number>
  /** Tokens to bias, as many as `logitBiasValues`. */
  logitBiasTokens?: Array<number>
  /** Added to the logits of those tokens; -Infinity bans one. */
  logitBiasValues?: Array<number>
  grammar?: string
  /** As JSON. */
  jsonSchema?: string
  /** The schema that the format asks for, as JSON. */
  responseFormat?: string
  regex?: string
  /** In camelCase. */
  samplers?: Array<string>
  /** Adapters to run under, as many as `loraScales`. */
  loraNames?: Array<string>
  /** Their scales. */
  loraScales?: Array<number>
  cachePrompt?: boolean
  tenant?: string
  /** Control vectors to run under, as many as `controlVectorScales`. */
  controlVectorNames?: Array<string>
  /** Their scales. */
  controlVectorScales?: Array<number>
  /** Where guesses come from: none, lookup or draft. */
  speculative?: string
  speculativeMaxTokens?: number
  /** What follows the answer; `generate` alone takes it. */
  suffix?: string
}

/** What stands round the images of a prompt. */
export interface NativeImageTags {
  start: string
  end: string
  content: string
}

/** Load options; every range is checked behind this border. */
export interface NativeLoadOptions {
  contextSize?: number
  kvCells?: number
  maxSequences?: number
  maxQueue?: number
  batchSize?: number
  threads?: number
  threadsBatch?: number
  gpuLayers?: number
  hostCacheBytes?: number
  mmap?: boolean
  mlock?: boolean
  kvCacheType?: string
  flashAttention?: boolean
  chatTemplate?: string
  embedding?: boolean
  pooling?: string
  contextOverflow?: string
  engine?: string
  isolate?: boolean
  draftModel?: string
  mmproj?: string
  /** What a child process runs that is to hold the engine. */
  engineProgram?: NativeEngineProgram
  npu?: NativeNpuOptions
}

/** An image or a sound of a conversation: its bytes, or the path of its file. */
export interface NativeMedium {
  /** Whether it is sound. */
  isAudio: boolean
  /** Where it stands, for messages. */
  place: string
  bytes?: Uint8Array
  path?: string
}

/** Load options that only models on an NPU have; every range is checked behind this border. */
export interface NativeNpuOptions {
  libraryPath?: string
  addonFolder?: string
  runtimeVersion?: string
  maxNewTokens?: number
  npuDomain?: number
  cpuMask?: number
  embedFlash?: boolean
  nKeep?: number
  nBatch?: number
  skipSpecialToken?: boolean
  ignoreEosToken?: boolean
  imageTags?: NativeImageTags
  temperature?: number
  topK?: number
  topP?: number
  repeatPenalty?: number
  frequencyPenalty?: number
  presencePenalty?: number
  mirostat?: number
  mirostatTau?: number
  mirostatEta?: number
}

/** A prompt that the NPU's runtime reads itself. */
export interface NativePrompt {
  text?: string
  embeddings?: Float32Array
  /** In the text. */
  images?: NativeEncodedImages
  role?: string
  thinking?: boolean
  keepHistory?: boolean
  saveCache?: string
}

/** How a file is quantized; values are checked behind this border. */
export interface NativeQuantizeOptions {
  type: string
  threads?: number
  allowRequantize?: boolean
}

/** Documents in the order of their scores. */
export interface NativeRanking {
  /** Places in the list of documents. */
  indexes: Array<number>
  /** As many scores, from 0 to 1. */
  scores: Array<number>
  /** Tokens of all prompts. */
  promptTokens: number
}

/** What a saved conversation begins with: text, tokens, or messages and the template's options as JSON. */
export interface NativeSavedPrompt {
  raw?: string | Uint32Array
  messages?: string
  chatOptions?: string
}

/** A look at the work going on. */
export interface NativeStats {
  waiting: number
  running: number
  paused: number
  maxSequences: number
  kvCellsUsed: number
  kvCells: number
  keptPrefixes: number
  keptTokens: number
  hostPrefixes: number
  hostTokens: number
  hostBytes: number
  steps: number
  requests: number
  promptTokens: number
  completionTokens: number
  draftTokens: number
  acceptedTokens: number
  tokensPerSecond: number
}

/** What the system tells about the NPU, as JSON. */
export declare function npuStatus(): Promise<string | NativeError>

/** Makes it ready to quantize a file. */
export declare function quantize(input: string, output: string, options: NativeQuantizeOptions, onProgress?: ((arg: number) => unknown) | undefined | null): NativeTask

/** Becomes the engine of the process that has started this one, and never returns. */
export declare function serveEngine(): void

/**
 * Stops every engine thread that this JavaScript thread started, and waits for them. For its end:
 * an engine that computes while the process destroys its statics would crash it.
 */
export declare function shutdown(): void

/** Which instruction sets the compute code was built for, in llama.cpp's words. */
export declare function systemInfo(): string

/** The version of this package. */
export declare function version(): string

/**
 * The only door to the addon: its shape as TypeScript sees it, and the loading of it.
 *
 * Every native call that may fail answers with `T | NativeError`, never with an exception.
 */
import { RkllmError } from './error.js'
import type { ModelStats } from './model-stats.js'
import type { NativeError } from './native-error.js'
import type { Timings, Usage } from './result.js'

export { unwrap } from './native-error.js'
export type { NativeError } from './native-error.js'

export interface NativeLoadOptions {
  contextSize?: number
  kvCells?: number
  maxSequences?: number
  maxQueue?: number
  batchSize?: number
  threads?: number
  threadsBatch?: number
  /** -1 stands for `'auto'`. */
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
  /** The engine the caller is ready for: `llama` or `rkllm`. */
  engine?: string
  isolate?: boolean
  draftModel?: string
  mmproj?: string
  engineProgram?: NativeEngineProgram
  npu?: NativeNpuOptions
}

/** An image or a sound of a conversation: its bytes, or the path of its file. */
export interface NativeMedium {
  isAudio: boolean
  /** Where it stands, for messages. */
  place: string
  bytes?: Uint8Array
  path?: string
}

/** What a child process runs that is to hold the engine. */
export interface NativeEngineProgram {
  program: string
  arguments: string[]
}

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

/** What stands round the images of a prompt. */
export interface NativeImageTags {
  start: string
  end: string
  content: string
}

/** Encoded images for a prompt's text. */
export interface NativeEncodedImages {
  embedding: Float32Array
  count?: number
  tokensPerImage?: number
  width?: number
  height?: number
}

/** A prompt that the NPU's runtime reads itself; the tokens, where it has neither text nor vectors. */
export interface NativePrompt {
  text?: string
  embeddings?: Float32Array
  images?: NativeEncodedImages
  role?: string
  thinking?: boolean
  keepHistory?: boolean
  saveCache?: string
}

/** What a call to the NPU's runtime gives: rows of `row` numbers, a count, or nothing. */
export interface NativeCallReply {
  values?: Float32Array
  row?: number
  count?: number
}

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
  stop?: string[]
  stopTokens?: number[]
  /** As many as `logitBiasValues`. */
  logitBiasTokens?: number[]
  logitBiasValues?: number[]
  grammar?: string
  /** As JSON. */
  jsonSchema?: string
  /** The schema that the format asks for, as JSON. */
  responseFormat?: string
  regex?: string
  samplers?: string[]
  /** As many as `loraScales`. */
  loraNames?: string[]
  loraScales?: number[]
  /** As many as `controlVectorScales`. */
  controlVectorNames?: string[]
  controlVectorScales?: number[]
  /** What follows the answer; `generate` alone takes it. */
  speculative?: string
  speculativeMaxTokens?: number
  suffix?: string
}

export interface NativeLogprob {
  token: number
  text: string
  bytes: number[]
  logprob: number
  top?: NativeLogprob[]
}

/** What a saved conversation begins with; nothing is the one that ended last. */
export interface NativeSavedPrompt {
  raw?: string | Uint32Array
  messages?: string
  chatOptions?: string
}

interface NativeAnyPart {
  index: number
  /** Empty in parts of calls. */
  text: string
  tokens: number[]
  logprobs?: NativeLogprob[]
}

export interface NativeTextPart extends NativeAnyPart {
  type?: undefined
}

export interface NativeReasoningPart extends NativeAnyPart {
  type: 'reasoning'
}

/** A piece of a call, or a whole one. */
export interface NativeCallPart extends NativeAnyPart {
  type: 'call-delta' | 'call'
  /** Which call of the choice. */
  call: number
  id: string
  /** Null in all pieces but the first. */
  name: string | null
  arguments: string
}

export type NativePart = NativeTextPart | NativeReasoningPart | NativeCallPart

export interface NativeToolCall {
  id: string
  name: string
  arguments: string
}

export interface NativeChoice {
  text: string
  tokens: number[]
  finishReason: string
  logprobs?: NativeLogprob[]
  reasoning?: string
  calls?: NativeToolCall[]
}

/** How a generation ended; `choices` hold what was written even if it failed. */
export interface NativeEnd {
  error?: NativeError
  usage: Usage
  timings: Timings
  choices: NativeChoice[]
}

/** News of one generation. */
export interface NativeReady {
  id: number
  parts: NativePart[]
  end?: NativeEnd
}

/** One request in flight. Until `listen` or `stream` is called, its parts fold into the result. */
export interface NativeGeneration {
  readonly id: number
  /** Parts arrive as fast as they are made. */
  listen(): void
  /** Parts arrive while fewer than 64 wait for `acknowledge`; the text so far comes first. */
  stream(): void
  /** Frees its place within one step. */
  cancel(): void
  acknowledge(tokens: number): void
  partialText(index: number): string
}

export interface NativeModel {
  /** To be called once, before the first generation; `onNews` hears of all: {@link NativeReady}s as a JSON array. */
  attach(onNews: (news: string) => void): void
  generate(prompt: string | Uint32Array, options: NativeGenerateOptions): NativeGeneration | NativeError
  generateNative(tokens: Uint32Array, prompt: NativePrompt, options: NativeGenerateOptions): NativeGeneration | NativeError
  /** What only an NPU's runtime can do; `call` is JSON, `{ call: name, … }`. */
  callNative(call: string, tokens: Uint32Array): Promise<NativeCallReply | NativeError>
  /** `media` are the images and sounds of the messages, in their order. */
  chat(messages: string, chatOptions: string, options: NativeGenerateOptions, media: NativeMedium[]): NativeGeneration | NativeError
  tokenize(text: string, addSpecial: boolean, parseSpecial: boolean): Uint32Array | NativeError
  detokenize(tokens: Uint32Array): string | NativeError
  applyChatTemplate(messages: string, chatOptions: string): string | NativeError
  countTokens(messages: string, chatOptions: string): number | NativeError
  /** The vectors as the model makes them, not normalised. */
  embed(inputs: string[]): Promise<{ vectors: Float32Array[]; promptTokens: number } | NativeError>
  /** Places of the documents, the best first, with as many scores. */
  rerank(
    query: string,
    documents: string[],
    instruction: string | null,
    topN: number | null,
  ): Promise<{ indexes: number[]; scores: number[]; promptTokens: number } | NativeError>
  loadLora(name: string, path: string, scale: number): Promise<NativeError | null>
  unloadLora(name: string): Promise<boolean | NativeError>
  loadControlVector(name: string, path: string, firstLayer: number | null, lastLayer: number | null): Promise<NativeError | null>
  unloadControlVector(name: string): Promise<boolean | NativeError>
  /** A `ModelInfo` as JSON. */
  info(): string
  stats(): ModelStats
  /** A `PerplexityResult` as JSON. */
  perplexity(text: string, contextSize: number | null, onProgress: ((fraction: number) => void) | null): NativeTask
  /** A `SavedState` as JSON. */
  saveState(path: string, prompt: NativeSavedPrompt, tenant: string | null): NativeTask
  /** A `LoadedState` as JSON. */
  loadState(path: string, tenant: string | null): NativeTask
  /** Resolves once running generations have ended. May be called again. */
  close(): Promise<null>
}

export interface NativeLoading {
  /** Begins the load; to be called once. */
  promise(): Promise<NativeModel | NativeError>
  /** Stops it soon; the promise then resolves to a failure, which nobody is shown. */
  cancel(): void
}

/** Work that takes long and can be stopped. */
export interface NativeTask {
  /** Begins it; to be called once. The result is JSON. */
  promise(): Promise<string | NativeError>
  /** Stops it soon; the promise then resolves to a failure, unless it was done already. */
  cancel(): void
}

export interface NativeQuantizeOptions {
  type: string
  threads?: number
  allowRequantize?: boolean
}

/** What the addon exports. */
export interface NativeBinding {
  loadModel(
    path: string,
    options: NativeLoadOptions,
    onProgress: ((fraction: number) => void) | null,
    onLog: ((level: string, line: string) => void) | null,
  ): NativeLoading
  /** Becomes the engine of the process that has started this one, and never returns. */
  serveEngine(): void
  inspect(path: string): Promise<string | NativeError>
  /** A `QuantizeResult` as JSON. */
  quantize(
    input: string,
    output: string,
    options: NativeQuantizeOptions,
    onProgress: ((fraction: number) => void) | null,
  ): NativeTask
  /** A `Diagnosis` as JSON, without what only Node knows. */
  diagnose(models: string[], libraryPath: string | null, addonFolder: string): Promise<string | NativeError>
  /** An `NpuStatus` as JSON. */
  npuStatus(): Promise<string | NativeError>
  /** Stops every engine thread that belongs to this JavaScript thread. */
  shutdown(): void
  version(): string
}

let binding: NativeBinding | undefined

/**
 * The addon, loaded at the first call.
 *
 * Not at import: where no binary fits the machine, a program that imports the package for
 * something else still runs, and a load fails with an error that can be handled.
 */
export function native(): NativeBinding {
  binding ??= load()
  return binding
}

function load(): NativeBinding {
  let loaded: NativeBinding
  try {
    // Through the generated types: what napi exports must fit what is written here.
    loaded = require('../index.js') as typeof import('../index.js') satisfies NativeBinding
  } catch (cause) {
    const message = `the native addon does not load on ${process.platform}-${process.arch}: ${String(cause)}`
    throw new RkllmError('library-unavailable', message, { cause })
  }
  // An engine thread that still runs while its process ends would crash it. 'exit' is emitted in
  // a worker too, when that worker ends.
  process.on('exit', () => loaded.shutdown())
  return loaded
}

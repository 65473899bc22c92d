/**
 * The only door to the addon: its shape as TypeScript sees it, and the loading of it.
 *
 * Every native call that may fail answers with `T | NativeError`, never with an exception.
 */
import { RkllmError } from './error.js'
import type { NativeError } from './native-error.js'

export { isNativeError, unwrap } from './native-error.js'
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
  mmap?: boolean
  mlock?: boolean
  kvCacheType?: string
  chatTemplate?: string
  embedding?: boolean
  pooling?: string
  contextOverflow?: string
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
  logitBiasTokens?: number[]
  logitBiasValues?: number[]
  grammar?: string
  samplers?: string[]
  loraNames?: string[]
  loraScales?: number[]
}

export interface NativeLogprob {
  token: number
  text: string
  bytes: number[]
  logprob: number
  top?: NativeLogprob[]
}

export interface NativePart {
  index: number
  text: string
  tokens: number[]
  logprobs?: NativeLogprob[]
}

export interface NativeUsage {
  promptTokens: number
  completionTokens: number
  cachedTokens: number
}

export interface NativeTimings {
  queueMs: number
  prefillMs: number
  firstTokenMs: number
  decodeMs: number
  prefillTokensPerSecond: number
  tokensPerSecond: number
}

export interface NativeChoice {
  text: string
  tokens: Uint32Array
  finishReason: string
  logprobs?: NativeLogprob[]
}

export interface NativeEnd {
  error?: NativeError
  usage: NativeUsage
  timings: NativeTimings
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
  /** Parts arrive while fewer than 64 wait for `acknowledge`; late calls replay the text so far first. */
  stream(): void
  cancel(): void
  acknowledge(parts: number): void
  partialText(index: number): string
}

export interface NativeStats {
  readonly [name: string]: number
}

export interface NativeModel {
  /** Called once, right after the load; `onReady` then hears of every generation, on this thread. */
  attach(onReady: (ready: NativeReady[]) => void): void
  generate(prompt: string | Uint32Array, options: NativeGenerateOptions): NativeGeneration | NativeError
  chat(messages: string, chatOptions: string, options: NativeGenerateOptions): NativeGeneration | NativeError
  tokenize(text: string, addSpecial: boolean, parseSpecial: boolean): Uint32Array | NativeError
  detokenize(tokens: Uint32Array): string | NativeError
  applyChatTemplate(messages: string, chatOptions: string): string | NativeError
  countTokens(messages: string, chatOptions: string): number | NativeError
  /** The vectors as the model makes them, not normalised. */
  embed(inputs: string[]): Promise<{ vectors: Float32Array[]; promptTokens: number } | NativeError>
  loadLora(name: string, path: string): Promise<NativeError | null>
  unloadLora(name: string): Promise<boolean | NativeError>
  /** JSON with camelCase keys. */
  info(): string
  stats(): NativeStats
  close(): Promise<null>
}

/** A load under way. After `cancel` the promise resolves to a failure that nobody is shown. */
export interface NativeLoading {
  promise(): Promise<NativeModel | NativeError>
  cancel(): void
}

/** What the addon exports. */
export interface NativeBinding {
  loadModel(
    path: string,
    options: NativeLoadOptions,
    onProgress: ((fraction: number) => void) | null,
    onLog: ((level: string, line: string) => void) | null,
  ): NativeLoading
  inspect(path: string): Promise<string | NativeError>
  /** Stops every engine thread that this JavaScript thread started. */
  shutdown(): void
  version(): string
}

let binding: NativeBinding | undefined

/**
 * The addon, loaded at the first call.
 *
 * Not at import: where no binary fits the machine, a program that imports the package for
 * another provider still runs, and a load fails with an error that can be handled.
 */
export function native(): NativeBinding {
  if (binding !== undefined) return binding
  try {
    const loaded = require('../index.js') as NativeBinding
    // An engine thread still running while the process tears down would crash it. 'exit' is
    // emitted in workers as well, for their own thread.
    process.on('exit', () => loaded.shutdown())
    binding = loaded
    return loaded
  } catch (cause) {
    const message = `the native addon does not load on ${process.platform}-${process.arch}: ${String(cause)}`
    throw new RkllmError('library-unavailable', message, { cause })
  }
}

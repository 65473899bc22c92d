import type { RuntimeInfo } from './rkllm-options.js'

/** What a loaded model is and how it runs. A `null` stands where its file does not say. */
export interface ModelInfo {
  /** The file it was loaded from. */
  readonly path: string
  readonly name: string | null
  /** The family, for example `llama`. */
  readonly architecture: string | null
  /** How many numbers its tensors hold. */
  readonly parameters: number | null
  /** The size of its files. */
  readonly sizeBytes: number
  /** The quantization, for example `Q4_K_M`. */
  readonly quantization: string | null
  /** Most tokens one request may hold, prompt and answer together. */
  readonly contextSize: number
  /** How many tokens of context it was trained on. */
  readonly contextSizeTrained: number | null
  /**
   * Most that `contextSize` may be as far as the files beside the model tell; the runtime's own limit may be
   * lower. `null` without them. Only for models on an NPU.
   */
  readonly maxContextSize?: number | null
  /** Most tokens of all requests together. */
  readonly kvCells: number
  /** How keys and values are stored. */
  readonly kvCacheType: string
  /** Most answers made at the same time. */
  readonly maxSequences: number
  /** Most requests that wait. */
  readonly maxQueue: number
  /** Most tokens computed in one step. */
  readonly batchSize: number
  /** Threads that make tokens. */
  readonly threads: number | null
  /** Threads that read prompts. */
  readonly threadsBatch: number | null
  /** How many tokens there are. */
  readonly vocabularySize: number | null
  /** The length of one vector of `embed`. */
  readonly embeddingLength: number | null
  readonly layers: number | null
  /** The template that makes a prompt of a conversation, in Jinja. */
  readonly chatTemplate: string | null
  /** False for a model that only embeds or ranks. */
  readonly generates: boolean
  /**
   * What `rerank` goes by: the scores of a head that the model has for it, or what it answers when it is asked
   * about each document. `null` where it cannot rank.
   */
  readonly ranksWith: 'head' | 'answer' | null
  /** What messages of the user may hold besides text: images or audio, where it was loaded with `mmproj`. */
  readonly media: readonly ('image' | 'audio')[]
  /** What runs it. */
  readonly engine: string
  /** Where it runs. */
  readonly device: string
  /** Whether it runs in a process of its own. */
  readonly isolated: boolean
  /** About how much memory it takes. */
  readonly memory: MemoryEstimate | null
  /** The NPU runtime's library; only for models on an NPU. */
  readonly runtime?: RuntimeInfo
  /** What this model cannot do here, and what would help. */
  readonly notes?: readonly string[]
}

/** About how many bytes of memory a model takes, by what they are for. */
export interface MemoryEstimate {
  /** The weights. Mapped from disk, so not all of them need be in memory at once. */
  readonly weightsBytes: number
  /** The KV cache. */
  readonly kvBytes: number
  /** Intermediate results. */
  readonly computeBytes: number
  readonly totalBytes: number
}

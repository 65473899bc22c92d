/** What is known about a loaded model. Absent fields are absent in its file. */
export interface ModelInfo {
  /** The family, for example `llama`. */
  readonly architecture: string
  /** The model's name. */
  readonly name?: string
  /** The size as the publisher writes it, for example `7B`. */
  readonly sizeLabel?: string
  /** How many numbers all tensors hold. */
  readonly parameters: number
  /** How many bytes all tensors take. */
  readonly weightsBytes: number
  /** The quantization, for example `Q4_K_M`. */
  readonly quantization?: string
  /** Most tokens one request may hold, as loaded. */
  readonly contextSize: number
  /** How many tokens of context the model was trained on. */
  readonly contextLengthTrained?: number
  /** The length of one embedding vector. */
  readonly embeddingLength?: number
  /** How many tokens the vocabulary has. */
  readonly vocabularySize?: number
  /** The template that makes a prompt of a conversation, in Jinja. */
  readonly chatTemplate?: string
  /** What runs the model. */
  readonly engine: string
  /** Where it runs. */
  readonly device: string
}

/** What an uploaded or downloaded model file holds, without loading it. */
export interface Inspection {
  /** The family, for example `llama`. */
  readonly architecture: string
  readonly name?: string
  readonly sizeLabel?: string
  readonly parameters: number
  readonly weightsBytes: number
  readonly quantization?: string
  readonly contextLengthTrained?: number
  readonly embeddingLength?: number
  readonly vocabularySize?: number
  readonly chatTemplate?: string
  /** All of the file's own key-value pairs, under their own names. */
  readonly metadata: Readonly<Record<string, unknown>>
  /** About how much memory it takes, for several contexts and cache types. */
  readonly memory: readonly MemoryEstimate[]
}

/** About how much memory a model takes, when loaded in one particular way. */
export interface MemoryEstimate {
  readonly contextSize: number
  readonly kvCacheType: string
  /** Mapped from disk, so not all of it need be resident at once. */
  readonly weightsBytes: number
  readonly kvBytes: number
  readonly computeBytes: number
  readonly totalBytes: number
}

/** A look at a model at work. */
export interface ModelStats {
  /** Answers that wait for their first place in a batch. */
  readonly waiting: number
  /** Sequences that hold cache, the paused ones included. */
  readonly running: number
  /** Sequences whose reader stopped reading. */
  readonly paused: number
  /** Most sequences that may hold cache at once. */
  readonly sequences: number
  /** Tokens in the cache. */
  readonly cellsUsed: number
  /** Tokens the cache can hold. */
  readonly cells: number
  /** Steps run since the load. */
  readonly steps: number
  /** Requests taken since the load. */
  readonly requests: number
  /** Prompt tokens computed since the load. */
  readonly promptTokens: number
  /** Tokens made since the load. */
  readonly completionTokens: number
  /** Tokens made a second over all sequences, averaged over the last steps. */
  readonly tokensPerSecond: number
}

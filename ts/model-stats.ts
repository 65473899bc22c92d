/** A look at a model at work. */
export interface ModelStats {
  /** Answers that wait for their first place in a batch. */
  readonly waiting: number
  /** Sequences that hold cache, the paused ones included. */
  readonly running: number
  /** Sequences whose reader stopped reading. */
  readonly paused: number
  /** Most sequences that may hold cache at once. */
  readonly maxSequences: number
  /** Tokens in the cache for what runs; what requests under way share counts once. */
  readonly kvCellsUsed: number
  /** Tokens the cache can hold. */
  readonly kvCells: number
  /** Beginnings of ended requests that are kept in the cache for later ones. */
  readonly keptPrefixes: number
  /** Their tokens. They give way when running requests need the room. */
  readonly keptTokens: number
  /** Beginnings of ended requests that had to leave the cache and are in the memory of `hostCacheBytes`. */
  readonly hostPrefixes: number
  /** Their tokens. */
  readonly hostTokens: number
  /** Their bytes. */
  readonly hostBytes: number
  /** Steps run since the load. */
  readonly steps: number
  /** Requests taken since the load. */
  readonly requests: number
  /** Prompt tokens computed since the load. */
  readonly promptTokens: number
  /** Tokens made since the load. */
  readonly completionTokens: number
  /** Tokens that were guessed before they were computed, since the load. */
  readonly draftTokens: number
  /** Those of them that were right. */
  readonly acceptedTokens: number
  /** Tokens made a second over all sequences, averaged over the last steps. */
  readonly tokensPerSecond: number
}

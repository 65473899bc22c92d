import type { NpuOptions } from './rkllm-options.js'

/** How keys and values are stored in the KV cache. */
export type KvCacheType = 'f16' | 'q8_0' | 'q4_0'

/** How the vectors of a text's tokens become one vector. */
export type Pooling = 'mean' | 'cls' | 'last'

/** How a model is loaded. Every default fits the machine and the file. */
export interface LoadOptions extends NpuOptions {
  /**
   * Most tokens one request may hold, prompt and answer together.
   *
   * @defaultValue what the model was trained on, as far as the memory allows
   */
  readonly contextSize?: number | undefined
  /**
   * Most tokens of all requests in the batch together. Their memory is taken when the model loads.
   *
   * @defaultValue from `contextSize`, `maxSequences` and the free memory
   */
  readonly kvCells?: number | undefined
  /** Most answers made at the same time; further requests wait in the queue. */
  readonly maxSequences?: number | undefined
  /** Most requests that wait; one more is refused with `overloaded`. */
  readonly maxQueue?: number | undefined
  /** Most tokens computed in one step. */
  readonly batchSize?: number | undefined
  /**
   * Threads that make tokens.
   *
   * @defaultValue the fast cores this process may use
   */
  readonly threads?: number | undefined
  /**
   * Threads that read prompts.
   *
   * @defaultValue as `threads`
   */
  readonly threadsBatch?: number | undefined
  /** Layers put on a GPU; `'auto'` puts there what fits. */
  readonly gpuLayers?: 'auto' | number | undefined
  /**
   * Memory for beginnings of ended requests that have to leave the cache, in bytes: they are copied there, and
   * back when a prompt begins like them.
   */
  readonly hostCacheBytes?: number | undefined
  /**
   * Maps the file instead of reading it.
   *
   * @defaultValue true
   */
  readonly mmap?: boolean | undefined
  /**
   * Keeps the weights from being swapped out.
   *
   * @defaultValue false
   */
  readonly mlock?: boolean | undefined
  /**
   * How keys and values are stored: smaller types hold more tokens and cost some quality.
   *
   * @defaultValue 'f16'
   */
  readonly kvCacheType?: KvCacheType | undefined
  /**
   * Computes attention in one pass over the cache, which a quantized `kvCacheType` needs.
   *
   * @defaultValue where the engine can
   */
  readonly flashAttention?: boolean | undefined
  /**
   * A Jinja template that makes a prompt of a conversation.
   *
   * @defaultValue the one in the file
   */
  readonly chatTemplate?: string | undefined
  /** Loads the model for embeddings. */
  readonly embedding?: boolean | undefined
  /**
   * How a text's vectors become one.
   *
   * @defaultValue what the file says
   */
  readonly pooling?: Pooling | undefined
  /**
   * What happens to an answer that fills the context: with `'error'` it ends there, with `'shift'` an answer
   * with `maxTokens` goes on, and the oldest half of what follows the system's messages is dropped. A prompt
   * that does not fit fails with `context-exceeded` either way.
   *
   * @defaultValue 'error'
   */
  readonly contextOverflow?: 'error' | 'shift' | undefined
  /**
   * Runs the engine in a child process, so that whatever happens in it, this one lives: the requests it was
   * computing fail with `engine-failed`, and the next one starts it again. Costs some 40 MB and a tenth of
   * a millisecond a step.
   *
   * @defaultValue false; true for `.rkllm` files, whose runtime ends its process on a failed assertion
   */
  readonly isolate?: boolean | undefined
  /**
   * A smaller GGUF model with the same vocabulary, which guesses what this one will say: see the option
   * `speculative` of requests.
   *
   * @defaultValue none
   */
  readonly draftModel?: string | URL | undefined
  /**
   * The projector of a model that can see or hear: a GGUF file that comes with it, often named `mmproj-…`. Messages of
   * the user may then hold images, or audio.
   *
   * @defaultValue none
   */
  readonly mmproj?: string | URL | undefined
  /**
   * Hears how much of the load is done, from 0 to 1, never less than before. If it throws, the
   * load is cancelled and rejects with what was thrown.
   */
  readonly onProgress?: ((fraction: number) => void) | undefined
  /** Hears the engine's log, line by line, for as long as the model is open. */
  readonly onLog?: ((level: string, line: string) => void) | undefined
  /** Cancels the load, which then rejects with the signal's `reason`. */
  readonly signal?: AbortSignal | undefined
}

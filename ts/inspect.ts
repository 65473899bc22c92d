import { holdWhile } from './keep-alive.js'
import type { MemoryEstimate } from './model-info.js'
import { native, unwrap } from './native.js'
import { toPath } from './path.js'
import type { FilePath } from './path.js'

/** What a model file says about itself. A `null` stands where it does not say. */
export interface Inspection {
  readonly path: string
  /** The bytes of all its files. */
  readonly sizeBytes: number
  /** The files it consists of, in their order: one, unless it was split. */
  readonly files: readonly string[]
  /** The version of the file format. */
  readonly ggufVersion: number
  /** What the file is for, such as `model`. */
  readonly kind: string
  /** Whether it can be loaded. */
  readonly loadable: boolean
  /** Why it cannot. */
  readonly problem: string | null
  readonly name: string | null
  /** The family, for example `llama`. */
  readonly architecture: string
  /** How many numbers its tensors hold. */
  readonly parameters: number
  /** The quantization, for example `Q4_K_M`. */
  readonly quantization: string | null
  /** How many tokens of context it was trained on. */
  readonly contextSizeTrained: number | null
  readonly embeddingLength: number | null
  readonly layers: number | null
  readonly vocabularySize: number | null
  /** The template that makes a prompt of a conversation, in Jinja. */
  readonly chatTemplate: string | null
  /** How many tensors it holds. */
  readonly tensors: number
  /** The file's own entries under their own names; long ones only by their size. */
  readonly metadata: Readonly<Record<string, unknown>>
  /** About how much memory it takes, for several contexts and types of cache. */
  readonly memory: readonly InspectionEstimate[]
}

/** About how much memory a model takes if it is loaded in one particular way. */
export interface InspectionEstimate extends MemoryEstimate {
  /** Tokens the cache can hold. */
  readonly contextSize: number
  /** How keys and values are stored. */
  readonly kvCacheType: string
}

/**
 * Reads what a model file says about itself and estimates the memory it takes, without loading it.
 *
 * @example
 * ```ts
 * const { quantization, memory } = await inspect('model.gguf')
 * ```
 *
 * @throws {@link RkllmError} `model-not-found`, or `model-invalid` if the file is broken.
 */
export async function inspect(path: FilePath): Promise<Inspection> {
  const file = toPath(path)
  return JSON.parse(unwrap(await holdWhile(native().inspect(file)))) as Inspection
}

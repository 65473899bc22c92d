import { checkOptions } from './check-options.js'
import { invalidRequest } from './error.js'
import { Meter } from './meter.js'
import { native } from './native.js'
import type { NativeQuantizeOptions } from './native.js'
import { QUANTIZE_OPTIONS } from './options.js'
import { toPath } from './path.js'
import type { FilePath } from './path.js'
import { runTask } from './run-task.js'

/** What a model can be turned into, the most exact first. */
export type QuantizationType =
  | 'f32'
  | 'f16'
  | 'bf16'
  | 'q8_0'
  | 'q6_k'
  | 'q5_k_m'
  | 'q5_k_s'
  | 'q5_1'
  | 'q5_0'
  | 'q4_k_m'
  | 'q4_k_s'
  | 'q4_1'
  | 'q4_0'
  | 'iq4_nl'
  | 'iq4_xs'
  | 'q3_k_l'
  | 'q3_k_m'
  | 'q3_k_s'
  | 'q2_k'

/** How a file is quantized. */
export interface QuantizeOptions {
  /** What to. */
  readonly type: QuantizationType
  /**
   * Quantizes again what is quantized already, which loses more than it saves.
   *
   * @defaultValue false
   */
  readonly allowRequantize?: boolean | undefined
  /**
   * Threads that compute.
   *
   * @defaultValue the fast processors of this process
   */
  readonly threads?: number | undefined
  /**
   * Hears how much is done, from 0 to 1, never less than before. If it throws, the work is stopped and
   * the call rejects with what was thrown.
   */
  readonly onProgress?: ((fraction: number) => void) | undefined
  /** Stops the work before its next tensor; the call then rejects with the signal's `reason`. */
  readonly signal?: AbortSignal | undefined
}

/** A file that was quantized. */
export interface QuantizeResult {
  /** The file that was written. */
  readonly path: string
  readonly type: QuantizationType
  readonly inputBytes: number
  readonly outputBytes: number
}

/**
 * Writes a GGUF model with its matrices in a smaller type.
 *
 * The output gets its name when it is whole: a call that fails or is stopped leaves no file behind.
 *
 * @example
 * ```ts
 * await quantize('model-f16.gguf', 'model-q4_k_m.gguf', { type: 'q4_k_m' })
 * ```
 *
 * @throws {@link RkllmError} `invalid-request` for an unknown type, an output that exists or cannot be written;
 *   `unsupported` for an input that is quantized already; `model-not-found`; `model-invalid`; `engine-failed`
 *   where the disk is full.
 */
export async function quantize(input: FilePath, output: FilePath, options: QuantizeOptions): Promise<QuantizeResult> {
  const [source, target] = [toPath(input, 'input'), toPath(output, 'output')]
  const { type, allowRequantize, threads, onProgress, signal } = checkOptions(QUANTIZE_OPTIONS, options)
  if (type === undefined) throw invalidRequest('type must be given', { option: 'type' })
  const nativeOptions: NativeQuantizeOptions = { type }
  if (allowRequantize !== undefined) nativeOptions.allowRequantize = allowRequantize
  if (threads !== undefined) nativeOptions.threads = threads
  const meter = onProgress === undefined ? undefined : new Meter(onProgress)
  const result = await runTask<QuantizeResult>(signal, (stop) => {
    return native().quantize(source, target, nativeOptions, meter?.forTask(stop) ?? null)
  })
  meter?.finish()
  return result
}

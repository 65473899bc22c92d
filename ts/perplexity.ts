import { checkOptions } from './check-options.js'
import { describeValue } from './describe-value.js'
import { invalidRequest } from './error.js'
import { Meter } from './meter.js'
import { Model } from './model.js'
import { PERPLEXITY_OPTIONS } from './options.js'

/** How a text is scored. */
export interface PerplexityOptions {
  /**
   * Tokens of a window, at most the model's context. Perplexities compare only at the same size.
   *
   * @defaultValue 512, or the model's context where that is smaller
   */
  readonly contextSize?: number | undefined
  /**
   * Hears how much is done, from 0 to 1, after each window. If it throws, the work is stopped and the call
   * rejects with what was thrown.
   */
  readonly onProgress?: ((fraction: number) => void) | undefined
  /** Stops the work within a step; the call then rejects with the signal's `reason`. */
  readonly signal?: AbortSignal | undefined
}

/** How well a model foretells a text. */
export interface PerplexityResult {
  /** Between how many tokens the model wavers at each place: the lower, the better it foretells. */
  readonly perplexity: number
  /** The standard error of {@link perplexity}. */
  readonly standardError: number
  /** The tokens that were scored. */
  readonly tokens: number
  /** The tokens of the whole text. */
  readonly promptTokens: number
  /** The windows that the text was cut into. */
  readonly windows: number
  /** Tokens of a window. */
  readonly contextSize: number
}

/**
 * Computes the perplexity of a text under a model, as llama.cpp's tool of that name does.
 *
 * The text is cut into windows of `contextSize` tokens, and the rest is left out. The tokens of the second
 * half of each window are scored by what precedes them in it; the perplexity is `exp` of the mean of their
 * negated logarithmic probabilities. Answers of the model go on between the steps.
 *
 * @example
 * ```ts
 * const { perplexity: score } = await perplexity(model, await readFile('wiki.test.raw', 'utf8'))
 * ```
 *
 * @throws {@link RkllmError} `invalid-request` for a text of fewer than two windows, `unsupported` for models
 *   that show no probabilities, `overloaded` while another text is scored on the same model.
 */
export async function perplexity(model: Model, text: string, options?: PerplexityOptions): Promise<PerplexityResult> {
  if (!(model instanceof Model)) throw invalidRequest(`model must be a loaded model, got ${describeValue(model)}`)
  if (typeof text !== 'string') throw invalidRequest(`text must be a string, got ${describeValue(text)}`)
  const { contextSize, onProgress, signal } = checkOptions(PERPLEXITY_OPTIONS, options)
  const meter = onProgress === undefined ? undefined : new Meter(onProgress)
  const result = await model.runTask<PerplexityResult>(signal, (nativeModel, stop) =>
    nativeModel.perplexity(text, contextSize ?? null, meter?.forTask(stop) ?? null),
  )
  meter?.finish()
  return result
}

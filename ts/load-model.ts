import type { LoadOptions } from './load-options.js'
import { LlamaModel } from './model.js'
import type { FilePath } from './path.js'

/**
 * Loads a model file and picks what runs it, by the file's first bytes and not by its name.
 *
 * @example
 * ```ts
 * await using model = await loadModel(bundledModelPath())
 * console.log((await model.generate('Once upon a time')).text)
 * ```
 *
 * @throws {@link RkllmError} `model-not-found`, `model-invalid` if the file is broken,
 *   `insufficient-memory` with the numbers.
 */
export function loadModel(path: FilePath, options?: LoadOptions): Promise<LlamaModel> {
  return LlamaModel.load(path, options)
}

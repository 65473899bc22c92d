import type { LoadOptions } from './load-options.js'
import { LlamaModel } from './llama-model.js'
import type { ModelInfo } from './model-info.js'
import { loadNative } from './native-load.js'
import type { FilePath } from './path.js'
import { RKLLMClient } from './rkllm-client.js'

/**
 * Loads a model file and picks what runs it, by the file's first bytes and not by its name: a
 * {@link LlamaModel} for GGUF files, an {@link RKLLMClient} for `.rkllm` files.
 *
 * @example
 * ```ts
 * await using model = await loadModel(bundledModelPath())
 * console.log((await model.generate('Once upon a time')).text)
 * ```
 *
 * @throws {@link RkllmError} `model-not-found`, `model-invalid` if the file is broken,
 *   `insufficient-memory` with the numbers, `library-unavailable` for an `.rkllm` file where the NPU's
 *   runtime is not installed.
 */
export async function loadModel(path: FilePath, options?: LoadOptions): Promise<LlamaModel | RKLLMClient> {
  const nativeModel = await loadNative(path, options)
  const { engine } = JSON.parse(nativeModel.info()) as ModelInfo
  return engine === 'rkllm' ? RKLLMClient.of(nativeModel) : LlamaModel.of(nativeModel, options)
}

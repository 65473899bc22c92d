import type { LoadOptions } from './load-options.js'
import { Model } from './model.js'
import { loadNative } from './native-load.js'
import type { NativeModel } from './native.js'
import type { FilePath } from './path.js'

/** A GGUF model, loaded and ready, run by llama.cpp. */
export class LlamaModel extends Model {
  private constructor(nativeModel: NativeModel, options?: LoadOptions) {
    super()
    this.attach(nativeModel, options)
  }

  /**
   * Loads a GGUF file.
   *
   * @throws {@link RkllmError} `model-not-found`, `model-invalid` if the file is broken or of
   *   another kind, `insufficient-memory` with the numbers.
   */
  static async load(path: FilePath, options?: LoadOptions): Promise<LlamaModel> {
    return new LlamaModel(await loadNative(path, options, 'llama'), options)
  }

  /** Of a model that is loaded already. @internal */
  static of(nativeModel: NativeModel, options?: LoadOptions): LlamaModel {
    return new LlamaModel(nativeModel, options)
  }
}

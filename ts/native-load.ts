import { join } from 'node:path'

import { throwIfAborted, whenAborted } from './abort.js'
import { addonFolder } from './addon-folder.js'
import { checkOptions } from './check-options.js'
import { toNativeImageTags } from './image-prompt.js'
import { holdWhile } from './keep-alive.js'
import type { LoadOptions } from './load-options.js'
import { native, unwrap } from './native.js'
import type { NativeBinding, NativeLoadOptions, NativeLoading, NativeModel, NativeNpuOptions } from './native.js'
import { LOAD_OPTIONS, PLAIN_LOAD_OPTIONS, PLAIN_NPU_OPTIONS } from './options.js'
import { toPath } from './path.js'
import type { FilePath } from './path.js'
import { pick } from './pick.js'

/** What an engine's own process runs. */
const ENGINE_PROCESS = join(__dirname, 'engine-process.js')

/** An engine that a caller is ready for; files for the other are refused. */
export type Engine = 'llama' | 'rkllm'

/** Loads a model file; `binding` is the addon unless a test brings its own. */
export async function loadNative(
  path: FilePath,
  options: LoadOptions | undefined,
  engine?: Engine,
  binding: () => NativeBinding = native,
): Promise<NativeModel> {
  const file = toPath(path)
  const checked = checkOptions(LOAD_OPTIONS, options)
  throwIfAborted(checked.signal)
  return holdWhile(new Load(binding(), file, checked, engine).promise)
}

/** One load under way: whichever comes first of its end, an abort and a callback that throws. */
class Load {
  readonly promise: Promise<NativeModel>
  #resolve!: (model: NativeModel) => void
  #reject!: (error: unknown) => void
  #loading: NativeLoading | undefined
  #stopListening: (() => void) | undefined
  #isSettled = false
  #progress = -1

  constructor(binding: NativeBinding, path: string, options: LoadOptions, engine: Engine | undefined) {
    this.promise = new Promise((resolve, reject) => {
      this.#resolve = resolve
      this.#reject = reject
    })
    const { onProgress, onLog, signal } = options
    const loading = binding.loadModel(
      path,
      toNativeLoadOptions(options, engine),
      onProgress === undefined ? null : (fraction) => this.#onProgress(onProgress, fraction),
      onLog === undefined ? null : (level, line) => callLater(onLog, level, line),
    )
    this.#loading = loading
    if (signal !== undefined) this.#stopListening = whenAborted(signal, (reason) => this.#stop(reason))
    void this.#finish(loading, onProgress)
  }

  async #finish(loading: NativeLoading, onProgress: LoadOptions['onProgress']): Promise<void> {
    try {
      const model = unwrap(await loading.promise())
      if (onProgress !== undefined) this.#onProgress(onProgress, 1)
      // The load may have been given up while it ended.
      if (this.#isSettled) await model.close()
      else if (this.#settle()) this.#resolve(model)
    } catch (error) {
      if (this.#settle()) this.#reject(error)
    }
  }

  #onProgress(onProgress: (fraction: number) => void, fraction: number): void {
    if (this.#isSettled || !(fraction > this.#progress)) return
    this.#progress = fraction
    try {
      onProgress(fraction)
    } catch (error) {
      this.#stop(error)
    }
  }

  #stop(error: unknown): void {
    if (!this.#settle()) return
    this.#loading?.cancel()
    this.#reject(error)
  }

  /** Whether it was not settled before. */
  #settle(): boolean {
    if (this.#isSettled) return false
    this.#isSettled = true
    this.#stopListening?.()
    return true
  }
}

function toNativeLoadOptions(options: LoadOptions, engine: Engine | undefined): NativeLoadOptions {
  const nativeOptions: NativeLoadOptions = pick(options, PLAIN_LOAD_OPTIONS)
  const { gpuLayers, maxContextLength, libraryPath, imageTags, draftModel, mmproj } = options
  if (gpuLayers !== undefined) nativeOptions.gpuLayers = gpuLayers === 'auto' ? -1 : gpuLayers
  if (draftModel !== undefined) nativeOptions.draftModel = toPath(draftModel, 'draftModel')
  if (mmproj !== undefined) nativeOptions.mmproj = toPath(mmproj, 'mmproj')
  // The same under the name that the NPU's own API has for it.
  if (maxContextLength !== undefined) nativeOptions.contextSize ??= maxContextLength
  if (engine !== undefined) nativeOptions.engine = engine
  nativeOptions.engineProgram = { program: process.execPath, arguments: [ENGINE_PROCESS] }
  const npu: NativeNpuOptions = { ...pick(options, PLAIN_NPU_OPTIONS), addonFolder }
  if (libraryPath !== undefined) npu.libraryPath = toPath(libraryPath, 'libraryPath')
  if (imageTags !== undefined) npu.imageTags = toNativeImageTags(imageTags)
  return { ...nativeOptions, npu }
}

/** An error out of a log callback has no call to reject, so it ends where other listeners' errors do. */
function callLater(onLog: (level: string, line: string) => void, level: string, line: string): void {
  try {
    onLog(level, line)
  } catch (error) {
    process.nextTick(() => {
      throw error
    })
  }
}

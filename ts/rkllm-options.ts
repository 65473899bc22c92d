import type { GenerateOptions } from './generate-options.js'
import type { ImagePrompt, ImageTags } from './image-prompt.js'
import type { LoadOptions } from './load-options.js'
import type { FilePath } from './path.js'

/** What only models on an NPU have. */
export interface NpuOptions {
  /**
   * The NPU runtime's library, `librkllmrt.so`.
   *
   * @defaultValue searched for: `RKLLMJS_RKLLM_LIBRARY`, the addon's folder, the system's folders
   */
  readonly libraryPath?: FilePath | undefined
  /** The version of a library that does not tell its own, such as `'1.3.1'`. */
  readonly runtimeVersion?: string | undefined
  /** The same as `contextSize`. */
  readonly maxContextLength?: number | undefined
  /**
   * Most tokens of an answer whose request has no `maxTokens`.
   *
   * @defaultValue up to the end of the context
   */
  readonly maxNewTokens?: number | undefined
  /**
   * First memory domain of the NPU, each of 4 GB; give several models different ones.
   *
   * @defaultValue 0
   */
  readonly npuDomain?: number | undefined
  /**
   * Processors the runtime computes on besides the NPU, a bit each: `0xf0` are the fast ones of an RK3588.
   *
   * @defaultValue the fast processors of this process
   */
  readonly cpuMask?: number | undefined
  /**
   * Leaves token embeddings on disk, which takes less memory.
   *
   * @defaultValue true
   */
  readonly embedFlash?: boolean | undefined
  /**
   * Positions at the start that survive when a kept conversation fills the context; -1 is none.
   *
   * @defaultValue -1
   */
  readonly nKeep?: number | undefined
  /**
   * Inputs that the runtime computes in one run: 1 in this version; more is `unsupported`, because answers of one
   * run can be neither cancelled nor replaced one by one.
   *
   * @defaultValue 1
   */
  readonly nBatch?: number | undefined
  /**
   * Leaves control tokens out of the text.
   *
   * @defaultValue true
   */
  readonly skipSpecialToken?: boolean | undefined
  /**
   * Goes on after the token that ends an answer. 1.3 runtimes only.
   *
   * @defaultValue false
   */
  readonly ignoreEosToken?: boolean | undefined
  /**
   * What stands round images in the model's vocabulary.
   *
   * @defaultValue nothing
   */
  readonly imageTags?: ImageTags | undefined
  // How tokens are chosen where a request does not say. 1.2 runtimes know no other way.
  /**
   * Divides the logits; 0 always picks the most likely token.
   *
   * @defaultValue 0.8
   */
  readonly temperature?: number | undefined
  /**
   * Keeps this many most likely tokens; 0 keeps all.
   *
   * @defaultValue 40
   */
  readonly topK?: number | undefined
  /**
   * Keeps the smallest set with this much probability.
   *
   * @defaultValue 0.9
   */
  readonly topP?: number | undefined
  /**
   * Weakens recent tokens by this factor; 1 is off.
   *
   * @defaultValue 1.1
   */
  readonly repeatPenalty?: number | undefined
  /**
   * Subtracted from a token's logit once per recent occurrence.
   *
   * @defaultValue 0
   */
  readonly frequencyPenalty?: number | undefined
  /**
   * Subtracted from a token's logit if it occurred recently.
   *
   * @defaultValue 0
   */
  readonly presencePenalty?: number | undefined
  /**
   * 1 or 2: Mirostat of that version.
   *
   * @defaultValue 0
   */
  readonly mirostat?: number | undefined
  /**
   * Mirostat's target surprise in bits.
   *
   * @defaultValue 5
   */
  readonly mirostatTau?: number | undefined
  /**
   * Mirostat's learning rate.
   *
   * @defaultValue 0.1
   */
  readonly mirostatEta?: number | undefined
}

/** How an `.rkllm` model is loaded. */
export interface RKLLMLoadOptions
  extends NpuOptions,
    Pick<LoadOptions, 'contextSize' | 'maxQueue' | 'chatTemplate' | 'isolate' | 'onProgress' | 'onLog' | 'signal'> {}

/** The same with the model, for the constructor. */
export interface RKLLMClientOptions extends RKLLMLoadOptions {
  readonly modelPath: FilePath
}

/** What {@link RKLLMClient.generate} continues: text, tokens, one vector for each token, or text with images. */
export type RKLLMPrompt = string | Uint32Array | readonly number[] | Float32Array | ImagePrompt

/** How the NPU answers a prompt. */
export interface RKLLMGenerateOptions extends GenerateOptions {
  /**
   * `'last-hidden-layer'` and `'logits'` give numbers for every token of the prompt instead of an answer.
   *
   * @defaultValue 'generate'
   */
  readonly mode?: 'generate' | 'last-hidden-layer' | 'logits' | undefined
  /**
   * Lets the runtime append this turn to the ones before it. Its own template is used then.
   *
   * @defaultValue false
   */
  readonly keepHistory?: boolean | undefined
  /** Where to save the cache of this prompt, for {@link RKLLMClient.loadPromptCache}. Not for prompts with images. */
  readonly promptCache?: { readonly save: FilePath } | undefined
  /**
   * Lets the model think first, where the runtime's own template knows how.
   *
   * @defaultValue false
   */
  readonly enableThinking?: boolean | undefined
  /**
   * Who speaks, in the runtime's own template.
   *
   * @defaultValue 'user'
   */
  readonly role?: 'user' | 'tool' | undefined
}

/** Numbers for every token of a prompt. */
export interface RKLLMNumbers {
  /** `rows` times `size` numbers, one row after the other. */
  readonly values: Float32Array
  readonly rows: number
  readonly size: number
}

/** What of the cache to clear; everything by default. */
export interface ClearCacheOptions {
  /** Leaves the system prompt. */
  readonly keepSystemPrompt?: boolean | undefined
  /** The first position to clear; everything is cleared without a range. */
  readonly start?: number | undefined
  /** The position after the last one to clear. */
  readonly end?: number | undefined
}

/** The NPU runtime's library. */
export interface RuntimeInfo {
  readonly path: string
  /** `null` where only its layout told. */
  readonly version: string | null
  readonly abi: '1.2' | '1.3'
  readonly detectedBy: 'banner' | 'probe' | 'override'
  /** Whether it is the stand-in, which computes on the CPU. */
  readonly standIn: boolean
  /** The version of the NPU's driver, such as `0.9.8`. */
  readonly driverVersion: string | null
  /** The chip, such as `rk3588s`. */
  readonly soc: string | null
  /** How many cores the chip's NPU has; how many a model uses was decided when it was converted. */
  readonly npuCores: number | null
  /** Why a value is `null`, by its name. */
  readonly reasons: Readonly<Partial<Record<'driverVersion' | 'soc' | 'npuCores', string>>>
}

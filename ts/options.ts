/**
 * The table of every option: its name and what it accepts. Checks, suggestions and the hand-over
 * to the addon all go by it; the types are held to it by `satisfies`.
 */
import type { ChatOptions, ChatTemplateOptions } from './chat-options.js'
import type { LoadControlVectorOptions } from './control-vectors.js'
import type { DiagnoseOptions } from './diagnose.js'
import type { EmbedOptions } from './embed.js'
import type { GenerateOptions } from './generate-options.js'
import type { EncodedImages, ImagePrompt, ImageTags } from './image-prompt.js'
import type { LoadOptions } from './load-options.js'
import type { LoadLoraOptions } from './lora.js'
import type { GenerateObjectOptions } from './objects/object-result.js'
import type { PerplexityOptions } from './perplexity.js'
import type { QuantizeOptions } from './quantize.js'
import type { ClearCacheOptions, NpuOptions, RKLLMGenerateOptions } from './rkllm-options.js'
import type { RerankOptions } from './rerank.js'
import type { ChatSessionOptions, TurnOptions } from './session/session-options.js'
import type { LoadStateOptions, SaveStateOptions } from './state.js'
import type { TokenizeOptions } from './tokenize-options.js'
import type { RunToolsOptions } from './tools/run-tools-options.js'
import * as rule from './option-rule.js'
import type { OptionRule } from './option-rule.js'

/** The rules of one call's options. */
export type OptionTable = Readonly<Record<string, OptionRule>>

type RulesOf<Options> = Readonly<Record<keyof Options, OptionRule>>

/** Options the addon takes under the same name and in the same form. */
export const PLAIN_GENERATE_OPTIONS = {
  maxTokens: rule.number,
  temperature: rule.number,
  topK: rule.number,
  topP: rule.number,
  minP: rule.number,
  typicalP: rule.number,
  topNSigma: rule.number,
  xtcProbability: rule.number,
  xtcThreshold: rule.number,
  dynatempRange: rule.number,
  repeatPenalty: rule.number,
  repeatLastN: rule.number,
  frequencyPenalty: rule.number,
  presencePenalty: rule.number,
  dryMultiplier: rule.number,
  dryBase: rule.number,
  dryAllowedLength: rule.number,
  mirostat: rule.number,
  mirostatTau: rule.number,
  mirostatEta: rule.number,
  seed: rule.number,
  ignoreEos: rule.boolean,
  grammar: rule.string,
  regex: rule.string,
  logprobs: rule.boolean,
  topLogprobs: rule.number,
  n: rule.number,
  priority: rule.number,
  timeoutMs: rule.number,
  readerTimeoutMs: rule.number,
  cachePrompt: rule.boolean,
  tenant: rule.string,
  suffix: rule.string,
} as const satisfies Partial<RulesOf<GenerateOptions>>

export const GENERATE_OPTIONS = {
  ...PLAIN_GENERATE_OPTIONS,
  logitBias: rule.logitBias,
  stop: rule.stringOrStrings,
  stopTokens: rule.tokens,
  samplers: rule.strings,
  lora: rule.lora,
  signal: rule.signal,
  onToken: rule.callback,
  speculative: rule.speculative,
  jsonSchema: rule.schema,
  controlVectors: rule.controlVectors,
} as const satisfies RulesOf<GenerateOptions> & OptionTable

export const CHAT_TEMPLATE_OPTIONS = {
  templateArgs: rule.record,
  addGenerationPrompt: rule.boolean,
  tools: rule.array,
  toolChoice: rule.toolChoice,
  parallelToolCalls: rule.boolean,
  continueFinalMessage: rule.boolean,
  reasoning: rule.reasoning,
} as const satisfies RulesOf<ChatTemplateOptions>

export const CHAT_OPTIONS = {
  ...GENERATE_OPTIONS,
  ...CHAT_TEMPLATE_OPTIONS,
  responseFormat: rule.record,
  suffix: rule.unsupported,
} as const satisfies RulesOf<ChatOptions> & OptionTable

const NO_OBJECT = [
  'grammar',
  'ignoreEos',
  'jsonSchema',
  'n',
  'parallelToolCalls',
  'regex',
  'responseFormat',
  'stop',
  'stopTokens',
  'toolChoice',
  'tools',
] as const

export const OBJECT_OPTIONS = {
  ...without(CHAT_OPTIONS, NO_OBJECT),
  schema: rule.anything,
} as const satisfies RulesOf<GenerateObjectOptions<unknown>> & OptionTable

export const RUN_TOOLS_OPTIONS = {
  ...without(CHAT_OPTIONS, ['addGenerationPrompt', 'n']),
  maxSteps: rule.number,
  toolTimeoutMs: rule.number,
  onStep: rule.callback,
} as const satisfies RulesOf<RunToolsOptions> & OptionTable

export const TURN_OPTIONS = without(RUN_TOOLS_OPTIONS, ['tools']) satisfies RulesOf<TurnOptions> & OptionTable

export const CHAT_SESSION_OPTIONS = {
  ...without(RUN_TOOLS_OPTIONS, ['signal']),
  system: rule.string,
  messages: rule.array,
  contextStrategy: rule.contextStrategy,
} as const satisfies RulesOf<ChatSessionOptions> & OptionTable

/** Load options the addon takes under the same name and in the same form. */
export const PLAIN_LOAD_OPTIONS = {
  contextSize: rule.number,
  kvCells: rule.number,
  maxSequences: rule.number,
  maxQueue: rule.number,
  batchSize: rule.number,
  threads: rule.number,
  threadsBatch: rule.number,
  hostCacheBytes: rule.number,
  mmap: rule.boolean,
  mlock: rule.boolean,
  kvCacheType: rule.string,
  flashAttention: rule.boolean,
  chatTemplate: rule.string,
  embedding: rule.boolean,
  pooling: rule.string,
  contextOverflow: rule.only(['error', 'shift']),
  isolate: rule.boolean,
} as const satisfies Partial<RulesOf<LoadOptions>>

/** Options of models on an NPU, which the addon takes under the same name and in the same form. */
export const PLAIN_NPU_OPTIONS = {
  runtimeVersion: rule.string,
  maxNewTokens: rule.number,
  npuDomain: rule.number,
  cpuMask: rule.number,
  embedFlash: rule.boolean,
  nKeep: rule.number,
  nBatch: rule.number,
  skipSpecialToken: rule.boolean,
  ignoreEosToken: rule.boolean,
  temperature: rule.number,
  topK: rule.number,
  topP: rule.number,
  repeatPenalty: rule.number,
  frequencyPenalty: rule.number,
  presencePenalty: rule.number,
  mirostat: rule.number,
  mirostatTau: rule.number,
  mirostatEta: rule.number,
} as const satisfies Partial<RulesOf<NpuOptions>>

export const NPU_OPTIONS = {
  ...PLAIN_NPU_OPTIONS,
  libraryPath: rule.path,
  maxContextLength: rule.number,
  imageTags: rule.record,
} as const satisfies RulesOf<NpuOptions>

export const LOAD_OPTIONS = {
  ...PLAIN_LOAD_OPTIONS,
  ...NPU_OPTIONS,
  gpuLayers: rule.layers,
  onProgress: rule.callback,
  onLog: rule.callback,
  signal: rule.signal,
  draftModel: rule.path,
  mmproj: rule.path,
} as const satisfies RulesOf<LoadOptions> & OptionTable

export const RKLLM_GENERATE_OPTIONS = {
  ...GENERATE_OPTIONS,
  mode: rule.only(['generate', 'last-hidden-layer', 'logits']),
  keepHistory: rule.boolean,
  promptCache: rule.record,
  enableThinking: rule.boolean,
  role: rule.only(['user', 'tool']),
} as const satisfies RulesOf<RKLLMGenerateOptions> & OptionTable

export const IMAGE_PROMPT = {
  text: rule.string,
  image: rule.record,
  video: rule.unsupported,
  audio: rule.unsupported,
} as const satisfies RulesOf<ImagePrompt> & OptionTable

/** What is said of images that the addon takes under the same name and in the same form. */
export const IMAGE_NUMBERS = {
  count: rule.number,
  tokensPerImage: rule.number,
  width: rule.number,
  height: rule.number,
} as const satisfies Partial<RulesOf<EncodedImages>>

export const ENCODED_IMAGES = {
  ...IMAGE_NUMBERS,
  embedding: rule.floats,
} as const satisfies RulesOf<EncodedImages>

export const IMAGE_TAGS = {
  start: rule.string,
  end: rule.string,
  content: rule.string,
} as const satisfies RulesOf<ImageTags>

export const CLEAR_CACHE_OPTIONS = {
  keepSystemPrompt: rule.boolean,
  start: rule.number,
  end: rule.number,
} as const satisfies RulesOf<ClearCacheOptions>

export const DIAGNOSE_OPTIONS = {
  models: rule.paths,
  libraryPath: rule.path,
} as const satisfies RulesOf<DiagnoseOptions> & OptionTable

export const PERPLEXITY_OPTIONS = {
  contextSize: rule.number,
  onProgress: rule.callback,
  signal: rule.signal,
} as const satisfies RulesOf<PerplexityOptions>

export const QUANTIZE_OPTIONS = {
  type: rule.string,
  allowRequantize: rule.boolean,
  threads: rule.number,
  onProgress: rule.callback,
  signal: rule.signal,
} as const satisfies RulesOf<QuantizeOptions>

export const SAVE_STATE_OPTIONS = {
  prompt: rule.prompt,
  template: rule.record,
  tenant: rule.string,
  signal: rule.signal,
} as const satisfies RulesOf<SaveStateOptions>

export const LOAD_STATE_OPTIONS = {
  tenant: rule.string,
  signal: rule.signal,
} as const satisfies RulesOf<LoadStateOptions>

export const TOKENIZE_OPTIONS = {
  addSpecial: rule.boolean,
  parseSpecial: rule.boolean,
} as const satisfies RulesOf<TokenizeOptions>

export const EMBED_OPTIONS = {
  dimensions: rule.number,
  normalize: rule.boolean,
} as const satisfies RulesOf<EmbedOptions>

export const RERANK_OPTIONS = {
  topN: rule.number,
  instruction: rule.string,
} as const satisfies RulesOf<RerankOptions>

export const LOAD_CONTROL_VECTOR_OPTIONS = {
  name: rule.string,
  scale: rule.number,
  layers: rule.layerRange,
} as const satisfies RulesOf<LoadControlVectorOptions>

export const LOAD_LORA_OPTIONS = {
  name: rule.string,
  scale: rule.number,
} as const satisfies RulesOf<LoadLoraOptions>

/** The rules but those of `names`. */
function without<Table extends OptionTable, Name extends keyof Table>(table: Table, names: readonly Name[]): Omit<Table, Name> {
  const isKept = ([name]: [string, unknown]): boolean => !names.includes(name as Name)
  return Object.fromEntries(Object.entries(table).filter(isKept)) as Omit<Table, Name>
}

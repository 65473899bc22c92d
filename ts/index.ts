/**
 * Language models inside a Node.js process.
 *
 * {@link loadModel} loads a file, a {@link LlamaModel} answers with {@link Generation}s, and
 * whatever fails does so with an {@link RkllmError}.
 *
 * @packageDocumentation
 */
export { bundledModelPath } from './bundled-model.js'
export { diagnose } from './diagnose.js'
export type { DiagnoseOptions } from './diagnose.js'
export type {
  Diagnosis,
  DiagnosedChip,
  DiagnosedClock,
  DiagnosedDevice,
  DiagnosedFile,
  DiagnosedMemory,
  DiagnosedNode,
  DiagnosedNpu,
  DiagnosedNpuModel,
  DiagnosedProblem,
  DiagnosedRuntime,
  DiagnosedSystem,
  RefusedLibrary,
} from './diagnosis.js'
export { inspect } from './inspect.js'
export type { Inspection, InspectionEstimate } from './inspect.js'
export { loadModel } from './load-model.js'
export { npuStatus } from './npu-status.js'
export type { NpuStatus, NpuUsability } from './npu-status.js'
export type { Reading } from './reading.js'
export { perplexity } from './perplexity.js'
export type { PerplexityOptions, PerplexityResult } from './perplexity.js'
export { quantize } from './quantize.js'
export type { QuantizationType, QuantizeOptions, QuantizeResult } from './quantize.js'
export { version } from './version.js'

export { LlamaModel } from './llama-model.js'
export { Model } from './model.js'
export { RKLLMClient } from './rkllm-client.js'
export type { InferenceProgress, RKLLMEvents } from './rkllm-events.js'
export type {
  ClearCacheOptions,
  NpuOptions,
  RKLLMClientOptions,
  RKLLMGenerateOptions,
  RKLLMLoadOptions,
  RKLLMNumbers,
  RKLLMPrompt,
  RuntimeInfo,
} from './rkllm-options.js'
export type { EncodedImages, ImagePrompt, ImageTags } from './image-prompt.js'
export type { LoadOptions, KvCacheType, Pooling } from './load-options.js'
export type { ModelInfo, MemoryEstimate } from './model-info.js'
export type { ModelStats } from './model-stats.js'
export type { FilePath } from './path.js'

export { Answer } from './answer.js'
export { Generation } from './generation.js'
export type { ControlVectorSelection, GenerateOptions, LogitBias, LoraSelection, Speculative } from './generate-options.js'
export type { ChatOptions, ChatTemplateOptions } from './chat-options.js'
export type { OnToken } from './token-callback.js'
export type { SamplerName } from './sampler-name.js'
export type {
  DeltaPart,
  FinishPart,
  Part,
  ReasoningDeltaPart,
  TextDeltaPart,
  ToolCallDeltaPart,
  ToolCallPart,
} from './parts.js'
export type { Reasoning, ReasoningMode } from './reasoning.js'
export type { JsonSchema, JsonSchemaFormat, ResponseFormat } from './response-format.js'
export type { ToolChoice, ToolDefinition } from './tool.js'
export type {
  AnswerMessage,
  AnswerToolCall,
  ChatChoice,
  ChatResult,
  Choice,
  FinishReason,
  GenerateResult,
  Timings,
  TokenLogprob,
  Usage,
} from './result.js'

export type {
  GenerateObjectOptions,
  ObjectDeltaPart,
  ObjectFinishPart,
  ObjectPart,
  ObjectResult,
  PartialOf,
} from './objects/object-result.js'
export type { SchemaIssue } from './schema/issues.js'
export type { InputOf, OutputOf, SchemaPair, TypedSchema } from './schema/schema.js'
export type {
  StandardIssue,
  StandardJsonSchema,
  StandardResult,
  StandardSchema,
  StandardTypes,
} from './schema/standard-schema.js'

export { tool } from './tools/tool.js'
export type { ParsedInput, PlainToolOptions, Tool, ToolContext, TypedToolOptions } from './tools/tool.js'
export type { RunToolsOptions } from './tools/run-tools-options.js'
export type {
  StepFinishPart,
  ToolResult,
  ToolResultPart,
  ToolRunFinishPart,
  ToolRunPart,
  ToolRunResult,
  ToolStep,
} from './tools/tool-result.js'

export { ChatSession } from './session/chat-session.js'
export type { LoadSessionOptions, RestoredState, SavedSession } from './session/chat-session.js'
export type { SavedChatSession } from './session/saved-session.js'
export type {
  ChatSessionOptions,
  ContextStrategy,
  SummarizeContext,
  SummarizeStrategy,
  TurnOptions,
  TurnResult,
} from './session/session-options.js'

export type {
  AssistantMessage,
  AudioContent,
  ImageContent,
  ImageUrlContent,
  InputAudioContent,
  Message,
  MessageContent,
  SystemMessage,
  TextContent,
  ToolCall,
  ToolMessage,
  UserContent,
  UserMessage,
} from './message.js'

export type { LoadStateOptions, LoadedState, SaveStateOptions, SavedState } from './state.js'
export type { TokenizeOptions } from './tokenize-options.js'
export type { EmbedOptions, EmbedResult, EmbedUsage } from './embed.js'
export type { RankedDocument, RerankOptions, RerankResult, RerankUsage } from './rerank.js'
export type { LoadControlVectorOptions, LoadedControlVector } from './control-vectors.js'
export type { LoadLoraOptions, LoadedLora } from './lora.js'

export { RkllmError } from './error.js'
export type { ErrorCode, ErrorDetails, RkllmErrorOptions } from './error.js'

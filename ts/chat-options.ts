import type { GenerateOptions } from './generate-options.js'
import type { Reasoning } from './reasoning.js'
import type { ResponseFormat } from './response-format.js'
import type { ToolChoice, ToolDefinition } from './tool.js'

/** How a conversation becomes a prompt. */
export interface ChatTemplateOptions {
  /**
   * Variables of the template's own, such as `{ enable_thinking: false }`; their names are
   * passed on as they are written.
   *
   * @defaultValue none
   */
  readonly templateArgs?: Readonly<Record<string, unknown>> | undefined
  /**
   * Whether the prompt ends where the assistant begins to speak.
   *
   * @defaultValue true
   */
  readonly addGenerationPrompt?: boolean | undefined
  /**
   * Tools the model may call, at most 128.
   *
   * @defaultValue none
   */
  readonly tools?: readonly ToolDefinition[] | undefined
  /**
   * Whether the model may call a tool: it decides (`'auto'`), sees the tools and writes text (`'none'`), must
   * call one (`'required'`) or must call the one named.
   *
   * @defaultValue 'auto'
   */
  readonly toolChoice?: ToolChoice | undefined
  /**
   * Whether one answer may call several tools.
   *
   * @defaultValue whether the model's template knows of that
   */
  readonly parallelToolCalls?: boolean | undefined
  /**
   * Whether the answer goes on with the last message, one of the assistant, instead of following it. The result
   * has only what is new.
   *
   * @defaultValue false
   */
  readonly continueFinalMessage?: boolean | undefined
  /**
   * Whether a model that thinks does so, and what becomes of its thoughts: they come apart from the text
   * (`'auto'`), the template is told besides that they are wanted (`'on'`) or not (`'off'`), or they stay in the
   * text as the model writes them (`'inline'`). `{ mode, maxTokens }` ends them after so many tokens.
   *
   * @defaultValue 'auto'
   */
  readonly reasoning?: Reasoning | undefined
}

/** How the next message of a conversation is made. */
export interface ChatOptions extends GenerateOptions, ChatTemplateOptions {
  /**
   * What the answer must look like: free text, any JSON object, or JSON that fits a schema.
   *
   * @defaultValue `{ type: 'text' }`
   */
  readonly responseFormat?: ResponseFormat | undefined
}

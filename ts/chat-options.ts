import type { GenerateOptions } from './generate-options.js'
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
   * What becomes of the thoughts of a model that thinks: they come apart from the text (`'auto'`), stay in it
   * as the model writes them (`'inline'`), or the template is told that none are wanted (`'off'`).
   *
   * @defaultValue 'auto'
   */
  readonly reasoning?: 'auto' | 'inline' | 'off' | undefined
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

import type { GenerateOptions } from './generate-options.js'

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
}

/** How the next message of a conversation is made. */
export interface ChatOptions extends GenerateOptions, ChatTemplateOptions {
  /**
   * Tools the model may call: none, in this version.
   *
   * @defaultValue none
   */
  readonly tools?: readonly [] | undefined
  /**
   * Whether the model must call a tool.
   *
   * @defaultValue 'auto'
   */
  readonly toolChoice?: 'auto' | 'none' | undefined
  /**
   * What the answer must look like: free text, in this version. A `grammar` can narrow it.
   *
   * @defaultValue `{ type: 'text' }`
   */
  readonly responseFormat?: { readonly type: 'text' } | undefined
}

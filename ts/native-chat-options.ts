import type { ChatTemplateOptions } from './chat-options.js'
import { toJson } from './json.js'
import { toNativeTools } from './native-tools.js'
import type { Reasoning } from './reasoning.js'

/** How the addon is told what to do with a template: JSON with snake_case keys. */
export function toNativeChatOptions(options: ChatTemplateOptions): string {
  const { templateArgs, addGenerationPrompt, continueFinalMessage, tools, toolChoice, parallelToolCalls } = options
  const plain = {
    template_args: templateArgs,
    add_generation_prompt: addGenerationPrompt,
    continue_final_message: continueFinalMessage,
    reasoning: toNativeReasoning(options.reasoning),
  }
  if (tools === undefined) return toJson('templateArgs', { ...plain, tool_choice: toolChoice })
  // Written apart, so that an error names what cannot be written.
  const written = JSON.parse(toJson('tools', toNativeTools(tools))) as unknown
  const offered = { tools: written, tool_choice: toolChoice, parallel_tool_calls: parallelToolCalls }
  return toJson('templateArgs', { ...plain, ...offered })
}

function toNativeReasoning(reasoning: Reasoning | undefined): unknown {
  if (typeof reasoning !== 'object') return reasoning
  return { mode: reasoning.mode, max_tokens: reasoning.maxTokens }
}

import type { ChatTemplateOptions } from './chat-options.js'
import { toJson } from './json.js'
import { toNativeTools } from './native-tools.js'

/** How the addon is told what to do with a template: JSON with snake_case keys. */
export function toNativeChatOptions(options: ChatTemplateOptions): string {
  const { templateArgs, addGenerationPrompt, tools, toolChoice, parallelToolCalls, reasoning } = options
  const plain = { template_args: templateArgs, add_generation_prompt: addGenerationPrompt, reasoning }
  if (tools === undefined) return toJson('templateArgs', { ...plain, tool_choice: toolChoice })
  // Written apart, so that an error names what cannot be written.
  const written = JSON.parse(toJson('tools', toNativeTools(tools))) as unknown
  const offered = { tools: written, tool_choice: toolChoice, parallel_tool_calls: parallelToolCalls }
  return toJson('templateArgs', { ...plain, ...offered })
}

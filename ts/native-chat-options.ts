import type { ChatTemplateOptions } from './chat-options.js'
import { toJson } from './json.js'

/** How the addon is told what to do with a template: JSON with snake_case keys. */
export function toNativeChatOptions({ templateArgs, addGenerationPrompt }: ChatTemplateOptions): string {
  return toJson('templateArgs', { template_args: templateArgs, add_generation_prompt: addGenerationPrompt })
}

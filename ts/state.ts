import type { ChatTemplateOptions } from './chat-options.js'
import { checkOptions } from './check-options.js'
import { invalidRequest } from './error.js'
import { toNativeMessages } from './native-messages.js'
import type { Message } from './message.js'
import { toNativeChatOptions } from './native-chat-options.js'
import type { NativeSavedPrompt } from './native.js'
import { CHAT_TEMPLATE_OPTIONS } from './options.js'
import { toTokens } from './tokens.js'

/** Which conversation is saved. */
export interface SaveStateOptions {
  /**
   * What it begins with: text or tokens as {@link Model.generate} takes them, or messages as {@link Model.chat}
   * does. As much of it is saved as the cache holds.
   *
   * @defaultValue the conversation that ended last
   */
  readonly prompt?: string | Uint32Array | readonly number[] | readonly Message[] | undefined
  /**
   * How messages become a prompt, where the requests said so: their `tools`, `templateArgs` and so on.
   *
   * @defaultValue none of the options of a template
   */
  readonly template?: ChatTemplateOptions | undefined
  /** Whose it is: the `tenant` of its requests. */
  readonly tenant?: string | undefined
  /** Stops the work, which leaves no file behind; the call then rejects with the signal's `reason`. */
  readonly signal?: AbortSignal | undefined
}

/** A conversation that was saved. */
export interface SavedState {
  /** How many of its tokens. */
  readonly tokens: number
  /** The size of the file. */
  readonly bytes: number
}

/** How a saved conversation is loaded. */
export interface LoadStateOptions {
  /** Whose it is from now on: the `tenant` of requests that may go on with it. */
  readonly tenant?: string | undefined
  /** Stops the work; the call then rejects with the signal's `reason`. */
  readonly signal?: AbortSignal | undefined
}

/** A conversation that was loaded. */
export interface LoadedState {
  /** How many of its tokens are in the cache. */
  readonly tokens: number
}

/** What a conversation begins with, as the addon takes it. */
export function toNativeSavedPrompt({ prompt, template }: SaveStateOptions): NativeSavedPrompt {
  if (prompt !== undefined && typeof prompt !== 'string' && isConversation(prompt)) {
    const checked = checkOptions(CHAT_TEMPLATE_OPTIONS, template, 'template.')
    return { messages: toNativeMessages(prompt), chatOptions: toNativeChatOptions(checked) }
  }
  if (template !== undefined) throw invalidRequest('template goes with messages', { option: 'template' })
  if (prompt === undefined) return {}
  if (typeof prompt === 'string') return { raw: prompt }
  return { raw: toTokens('prompt', prompt) }
}

function isConversation(prompt: Uint32Array | readonly number[] | readonly Message[]): prompt is readonly Message[] {
  return Array.isArray(prompt) && typeof prompt[0] === 'object'
}

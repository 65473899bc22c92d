import { describeExactly, describeValue } from '../describe-value.js'
import { RkllmError, invalidRequest } from '../error.js'
import type { Message, SystemMessage } from '../message.js'
import { toNativeMessages } from '../native-messages.js'
import { SUMMARY_LENGTH_MAX } from './conversation.js'
import type { Conversation } from './conversation.js'

/** A session as JSON: what was said, and nothing of the model or the options. */
export interface SavedChatSession {
  readonly format: 'rkllmjs-chat-session'
  readonly version: 1
  readonly system?: SystemMessage
  /** What stands for turns that were dropped. */
  readonly summary?: string
  readonly messages: readonly Message[]
}

const FORMAT = 'rkllmjs-chat-session'
const VERSION = 1
const FIELDS = ['format', 'version', 'system', 'summary', 'messages']
/** Most messages, as of any conversation. */
const MESSAGES_MAX = 10_000

/** What is written. */
export function toSaved({ system, summary, messages }: Conversation): SavedChatSession {
  return {
    format: FORMAT,
    version: VERSION,
    ...(system === undefined ? {} : { system }),
    ...(summary === undefined ? {} : { summary }),
    messages,
  }
}

/** What was written, checked; an error names the field at fault. */
export function fromSaved(value: unknown): Conversation {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    throw wrong('json', `must be a saved session, got ${describeValue(value)}`)
  }
  const fields = value as Readonly<Record<string, unknown>>
  const { format, version, system, summary, messages } = fields
  if (format !== FORMAT) throw wrong('format', `must be ${JSON.stringify(FORMAT)}, got ${describeExactly(format)}`)
  if (version !== VERSION) throw wrong('version', `must be ${VERSION}, got ${describeExactly(version)}; it was saved by another version`)
  const other = Object.keys(fields).find((name) => !FIELDS.includes(name))
  if (other !== undefined) throw wrong(other.slice(0, 64), 'is no field of a saved session')
  return { system: savedSystem(system), summary: savedSummary(summary), messages: savedMessages(messages) }
}

function savedSystem(value: unknown): SystemMessage | undefined {
  if (value === undefined) return undefined
  const [system] = checked('system', [value])
  if (system?.role === 'system' || system?.role === 'developer') return system
  throw wrong('system', `must have the role system or developer, got ${describeExactly(system?.role)}`)
}

function savedSummary(value: unknown): string | undefined {
  if (value === undefined) return undefined
  if (typeof value !== 'string') throw wrong('summary', `must be a string, got ${describeValue(value)}`)
  if (value.length <= SUMMARY_LENGTH_MAX) return value
  throw wrong('summary', `has ${value.length} characters, at most ${SUMMARY_LENGTH_MAX} are allowed`)
}

function savedMessages(value: unknown): Message[] {
  if (!Array.isArray(value)) throw wrong('messages', `must be an array, got ${describeValue(value)}`)
  if (value.length === 0) return []
  if (value.length <= MESSAGES_MAX) return checked('messages', value)
  throw wrong('messages', `holds ${value.length}, at most ${MESSAGES_MAX} are allowed`)
}

/** A copy of messages that are what messages must be. */
function checked(field: string, messages: readonly unknown[]): Message[] {
  try {
    toNativeMessages(messages as readonly Message[])
  } catch (error) {
    if (!RkllmError.is(error)) throw error
    throw invalidRequest(error.message.replace(/^messages(\[0\])?/, field === 'system' ? 'system' : 'messages$1'), { field })
  }
  return JSON.parse(JSON.stringify(messages)) as Message[]
}

function wrong(field: string, problem: string): RkllmError {
  return invalidRequest(`${field} ${problem}`, { field })
}

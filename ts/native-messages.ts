/**
 * Checks a conversation and writes it as the addon takes it: JSON with OpenAI's names.
 *
 * The addon checks it again for other callers; what it finds it would name in snake_case.
 */
import { describeExactly, describeValue } from './describe-value.js'
import { invalidRequest } from './error.js'
import { toJson } from './json.js'
import { ConversationMedia } from './media-content.js'
import type { Message } from './message.js'
import type { NativeMedium } from './native.js'
import { suggestion } from './suggestion.js'

type Fields = Readonly<Record<string, unknown>>
type Check = (place: string, value: unknown) => void

const ROLES = ['system', 'developer', 'user', 'assistant', 'tool']
const PART_TYPES = ['text', 'image', 'image_url', 'audio', 'input_audio']

/** The fields of a message: their name for the addon, and what they must be. */
const MESSAGE_FIELDS: Readonly<Record<string, { readonly wireName: string; readonly check: Check }>> = {
  role: { wireName: 'role', check: checkRole },
  content: { wireName: 'content', check: checkContent },
  name: { wireName: 'name', check: checkString },
  reasoning: { wireName: 'reasoning_content', check: checkString },
  toolCalls: { wireName: 'tool_calls', check: checkToolCalls },
  toolCallId: { wireName: 'tool_call_id', check: checkString },
}

/** A conversation as the addon takes it. */
export interface NativeConversation {
  /** The messages as JSON. */
  readonly messages: string
  /** Their images and sounds in order. */
  readonly media: NativeMedium[]
}

/** The conversation as JSON, without its images and sounds. */
export function toNativeMessages(messages: readonly Message[]): string {
  return toNativeConversation(messages).messages
}

/**
 * The conversation as JSON, and its images and sounds; an `invalid-request` error names the message and the field at
 * fault.
 */
export function toNativeConversation(messages: readonly Message[]): NativeConversation {
  const given: unknown = messages
  if (!Array.isArray(given)) throw invalidRequest(`messages must be an array, got ${describeValue(given)}`)
  if (given.length === 0) throw invalidRequest('messages must hold at least one message')
  // Not `map`, which would skip the holes of a sparse array.
  const media = new ConversationMedia()
  const wire = Array.from(given, (message, index) => toWire(`messages[${index}]`, message, media))
  return { messages: toJson('messages', wire), media: media.all }
}

function toWire(place: string, value: unknown, media: ConversationMedia): Fields {
  const message = asFields(place, value)
  const wire: Record<string, unknown> = {}
  for (const [name, field] of Object.entries(message)) {
    const known = Object.hasOwn(MESSAGE_FIELDS, name) ? MESSAGE_FIELDS[name] : undefined
    if (known === undefined) throw unknownField(place, name)
    if (field === undefined || field === null) continue
    known.check(`${place}.${name}`, field)
    wire[known.wireName] = field
    if (name === 'toolCalls') wire[known.wireName] = withTypes(field as readonly Fields[])
    if (name === 'content') wire[known.wireName] = withoutMedia(`${place}.content`, field, media)
  }
  if (wire['role'] === undefined) checkRole(`${place}.role`, message['role'])
  if (wire['content'] === undefined && wire['tool_calls'] === undefined) {
    checkContent(`${place}.content`, message['content'])
  }
  return wire
}

function unknownField(place: string, name: string): Error {
  const meant = suggestion(name, Object.keys(MESSAGE_FIELDS))
  const hint = meant === undefined ? '' : `; did you mean ${JSON.stringify(meant)}?`
  return invalidRequest(`${place}.${name} is no field of a message${hint}`)
}

function checkRole(place: string, value: unknown): void {
  if (ROLES.includes(value as string)) return
  throw invalidRequest(`${place} must be one of ${ROLES.join(', ')}, got ${describeExactly(value)}`)
}

function checkContent(place: string, value: unknown): void {
  if (typeof value === 'string') return
  if (!Array.isArray(value)) {
    throw invalidRequest(`${place} must be a string or an array of parts, got ${describeValue(value)}`)
  }
  for (const [index, part] of value.entries()) {
    const at = `${place}[${index}]`
    const { type, text } = asFields(at, part)
    if (!PART_TYPES.includes(type as string)) {
      throw invalidRequest(`${at}.type must be one of ${PART_TYPES.join(', ')}, got ${describeExactly(type)}`)
    }
    if (type === 'text') checkString(`${at}.text`, text)
  }
}

/** The same content with what stands for media, which take a way of their own. */
function withoutMedia(place: string, content: unknown, media: ConversationMedia): unknown {
  if (!Array.isArray(content)) return content
  return content.map((part: Fields, index) => (part['type'] === 'text' ? part : media.take(`${place}[${index}]`, part)))
}

function checkToolCalls(place: string, value: unknown): void {
  if (!Array.isArray(value)) throw invalidRequest(`${place} must be an array, got ${describeValue(value)}`)
  for (const [index, call] of value.entries()) {
    const at = `${place}[${index}]`
    const { id, type, function: called } = asFields(at, call)
    if (id !== undefined) checkString(`${at}.id`, id)
    if (type !== undefined && type !== 'function') {
      throw invalidRequest(`${at}.type must be "function", got ${describeExactly(type)}`)
    }
    const { name, arguments: given } = asFields(`${at}.function`, called)
    checkString(`${at}.function.name`, name)
    if (name === '') throw invalidRequest(`${at}.function.name must not be empty`)
    checkArguments(`${at}.function.arguments`, given)
  }
}

function checkArguments(place: string, value: unknown): void {
  if (typeof value !== 'string') asFields(place, value, 'an object or one as JSON')
  else if (!isObjectAsJson(value)) throw invalidRequest(`${place} must be an object or one as JSON, got ${describeExactly(value)}`)
}

function isObjectAsJson(text: string): boolean {
  try {
    const value: unknown = JSON.parse(text)
    return typeof value === 'object' && value !== null && !Array.isArray(value)
  } catch {
    return false
  }
}

/** OpenAI requires the only type a call can have; here it may be left out. */
function withTypes(calls: readonly Fields[]): readonly Fields[] {
  return calls.map((call) => ({ ...call, type: 'function' }))
}

function checkString(place: string, value: unknown): void {
  if (typeof value !== 'string') throw invalidRequest(`${place} must be a string, got ${describeValue(value)}`)
}

function asFields(place: string, value: unknown, expected = 'an object'): Fields {
  if (typeof value === 'object' && value !== null && !Array.isArray(value)) return value as Fields
  throw invalidRequest(`${place} must be ${expected}, got ${describeValue(value)}`)
}

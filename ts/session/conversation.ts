import { describeValue } from '../describe-value.js'
import { invalidRequest } from '../error.js'
import type { AssistantMessage, Message, MessageContent, SystemMessage } from '../message.js'
import { toNativeMessages } from '../native-messages.js'

/** What a session has in mind. Never changed: each turn makes a new one, so that forks share what they share. */
export interface Conversation {
  readonly system: SystemMessage | undefined
  /** What stands for the turns that were dropped. */
  readonly summary: string | undefined
  readonly messages: readonly Message[]
}

/** Longest summary, in characters. */
export const SUMMARY_LENGTH_MAX = 65_536

const SUMMARY_HEADING = 'Summary of the conversation so far:'

/** The conversation that messages make; the first may be the system's. */
export function toConversation(system: string | undefined, messages: readonly Message[]): Conversation {
  const all = messages.length === 0 ? [] : copied(messages)
  const [first, ...rest] = all
  const isSystem = first?.role === 'system' || first?.role === 'developer'
  if (system === undefined) {
    return isSystem ? { system: first, summary: undefined, messages: rest } : { system: undefined, summary: undefined, messages: all }
  }
  if (isSystem) throw invalidRequest('system and messages[0] are both the message of the system; give one of them', { option: 'system' })
  return { system: { role: 'system', content: system }, summary: undefined, messages: all }
}

/** What is sent as a new turn, checked. */
export function toTurn(input: unknown): Message[] {
  if (typeof input === 'string') return [{ role: 'user', content: input }]
  if (Array.isArray(input)) return copied(input as readonly Message[])
  if (typeof input === 'object' && input !== null) return copied([input as Message])
  throw invalidRequest(`what is sent must be text, a message or messages, got ${describeValue(input)}`, { option: 'input' })
}

/** Checked messages that nobody else holds. */
export function copied(messages: readonly Message[]): Message[] {
  toNativeMessages(messages)
  return JSON.parse(JSON.stringify(messages)) as Message[]
}

/**
 * The messages of the prompt. A summary goes into the message of the system, because many templates know that one
 * only, and only in the first place.
 */
export function toMessages({ system, summary, messages }: Conversation): Message[] {
  if (summary === undefined) return system === undefined ? [...messages] : [system, ...messages]
  const told = summaryMessage(summary)
  if (system === undefined) return [told, ...messages]
  const content = `${textOf(system.content)}\n\n${textOf(told.content)}`
  return [{ ...system, content }, ...messages]
}

/** A summary as a message. */
export function summaryMessage(summary: string): SystemMessage {
  return { role: 'system', content: `${SUMMARY_HEADING}\n${summary}` }
}

/** The turns: each is a message of the user, or several in a row, and all that follows until the next. */
export function turnsOf(messages: readonly Message[]): Message[][] {
  const turns: Message[][] = []
  messages.forEach((message, index) => {
    const begins = message.role === 'user' && messages[index - 1]?.role !== 'user'
    const last = turns.at(-1)
    if (begins || last === undefined) turns.push([message])
    else last.push(message)
  })
  return turns
}

/** Whether a turn ends with something that the model said. */
export function isAnswered(turn: readonly Message[]): boolean {
  const last = turn.at(-1)
  return last?.role === 'assistant' && saysSomething(last)
}

function saysSomething({ content, toolCalls }: AssistantMessage): boolean {
  return (content ?? '') !== '' || toolCalls !== undefined
}

function textOf(content: MessageContent): string {
  return typeof content === 'string' ? content : content.map(({ text }) => text).join('')
}

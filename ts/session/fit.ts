import { describeValue } from '../describe-value.js'
import { invalidRequest } from '../error.js'
import type { Message } from '../message.js'
import { SUMMARY_LENGTH_MAX, summaryMessage, toMessages, turnsOf } from './conversation.js'
import type { Conversation } from './conversation.js'
import type { ContextStrategy, SummarizeStrategy } from './session-options.js'

/**
 * How full the context is after turns were dropped. To drop just what must go would drop a turn with each that
 * comes, and whatever follows a gap must be computed again.
 */
const FULL_AFTER_DROP = 7 / 8
/** A summary is worth its time only if it makes room for a while. */
const FULL_AFTER_SUMMARY = 1 / 2

/** The room there is for a prompt. */
export interface Room {
  /** Most tokens that the prompt may have. */
  readonly tokens: number
  /** How many tokens these messages take as a prompt; each call renders and tokenizes them. */
  readonly count: (messages: readonly Message[]) => number
}

/** A conversation that fits, as far as that is possible. */
export interface Fitted {
  readonly conversation: Conversation
  readonly dropped: readonly Message[]
}

/** What summaries are made with: `wait` gives up when the turn is stopped. */
export interface FitStage {
  readonly signal: AbortSignal
  wait<Value>(promise: PromiseLike<Value>): Promise<Value>
}

/** Makes room for `turn` after `conversation`. What still does not fit is left for the engine to refuse. Takes time only for a summary. */
export function fit(
  conversation: Conversation,
  turn: readonly Message[],
  room: Room,
  strategy: ContextStrategy,
  stage: FitStage,
): Fitted | Promise<Fitted> {
  const whole = { conversation, dropped: [] }
  if (strategy === 'error' || conversation.messages.length === 0) return whole
  if (fits(conversation, turn, room, 1)) return whole
  if (typeof strategy === 'string') return dropOldest(conversation, turn, room, FULL_AFTER_DROP)
  return summarizeOldest(conversation, turn, room, strategy, stage)
}

async function summarizeOldest(
  conversation: Conversation,
  turn: readonly Message[],
  room: Room,
  { summarize }: SummarizeStrategy,
  stage: FitStage,
): Promise<Fitted> {
  const { conversation: rest, dropped } = dropOldest(conversation, turn, room, FULL_AFTER_SUMMARY)
  const { summary: before } = conversation
  const told = before === undefined ? dropped : [summaryMessage(before), ...dropped]
  const summary: unknown = await stage.wait(Promise.resolve(summarize(structuredClone(told), { signal: stage.signal })))
  if (typeof summary !== 'string') throw invalidRequest(`summarize must give text, got ${describeValue(summary)}`, { option: 'contextStrategy' })
  if (summary.length > SUMMARY_LENGTH_MAX) {
    const message = `summarize gave ${summary.length} characters, at most ${SUMMARY_LENGTH_MAX} are allowed`
    throw invalidRequest(message, { option: 'contextStrategy' })
  }
  const summarized = { ...rest, summary }
  if (fits(summarized, turn, room, 1)) return { conversation: summarized, dropped }
  // The summary itself is too long for what was kept.
  const further = dropOldest(summarized, turn, room, FULL_AFTER_DROP)
  return { conversation: further.conversation, dropped: [...dropped, ...further.dropped] }
}

/** Drops as few turns as it takes to fill no more than this share of the room. */
function dropOldest(conversation: Conversation, turn: readonly Message[], room: Room, share: number): Fitted {
  const turns = turnsOf(conversation.messages)
  const without = (count: number): Conversation => ({ ...conversation, messages: turns.slice(count).flat() })
  // The fewer turns, the fewer tokens: by halves, it takes no more counting than the number of turns has digits.
  let [tooFew, enough] = [0, turns.length]
  while (enough - tooFew > 1) {
    const middle = Math.floor((tooFew + enough) / 2)
    if (fits(without(middle), turn, room, share)) enough = middle
    else tooFew = middle
  }
  return { conversation: without(enough), dropped: turns.slice(0, enough).flat() }
}

function fits(conversation: Conversation, turn: readonly Message[], room: Room, share: number): boolean {
  return room.count([...toMessages(conversation), ...turn]) <= Math.floor(room.tokens * share)
}

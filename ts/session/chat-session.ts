import { Answer } from '../answer.js'
import { AnswerRun } from '../answer-run.js'
import type { AnswerWork } from '../answer-run.js'
import type { ChatTemplateOptions } from '../chat-options.js'
import { checkOptions } from '../check-options.js'
import { describeExactly, describeValue } from '../describe-value.js'
import { RkllmError, invalidRequest } from '../error.js'
import type { Message } from '../message.js'
import type { Model } from '../model.js'
import { CHAT_SESSION_OPTIONS, TURN_OPTIONS } from '../options.js'
import { toPath } from '../path.js'
import type { FilePath } from '../path.js'
import type { SavedState } from '../state.js'
import { toFinishPart, toolLoop } from '../tools/run-tools.js'
import type { ToolLoop } from '../tools/run-tools.js'
import type { ToolRunPart } from '../tools/tool-result.js'
import { copied, isAnswered, toConversation, toMessages, toTurn, turnsOf } from './conversation.js'
import type { Conversation } from './conversation.js'
import { fit } from './fit.js'
import type { Room } from './fit.js'
import { fromSaved, toSaved } from './saved-session.js'
import type { SavedChatSession } from './saved-session.js'
import { readSession, writeSession } from './session-file.js'
import type { ChatSessionOptions, ContextStrategy, TurnOptions, TurnResult } from './session-options.js'

/** Room that is kept for an answer without `maxTokens`, as a share of the context. */
const ANSWER_SHARE = 1 / 4
/** Most of the context that is kept for an answer: a conversation needs room too. */
const ANSWER_SHARE_MAX = 1 / 2

/** A session that was saved. */
export interface SavedSession {
  /** How many messages. */
  readonly messages: number
  /** The size of the JSON file. */
  readonly bytes: number
  /** What was saved of the cache beside it; `null` where nothing was. */
  readonly state: SavedState | null
  /** Why nothing was saved of the cache. It only costs time later. */
  readonly stateProblem?: RkllmError
}

/** What loading a session brought into the cache. */
export interface RestoredState {
  /** How many tokens; 0 where the session has to be computed again. */
  readonly tokens: number
  /** Why there are none. */
  readonly problem?: RkllmError
}

/** What a session is loaded with: all options but what the file has. */
export type LoadSessionOptions = Omit<ChatSessionOptions, 'system' | 'messages'>

/**
 * A conversation that remembers: each turn is answered with all that went before, as far as it fits the context.
 *
 * What is sent begins with what was sent before, so the engine computes only what is new, and `usage.cachedTokens`
 * grows from turn to turn; forks of a session share what they have in common. What a turn resolves to is in the
 * history; a turn that rejects leaves none in it.
 *
 * @example
 * ```ts
 * const session = new ChatSession(model, { system: 'Answer briefly.' })
 * await session.send('My name is Alice.')
 * const { text } = await session.send('What is my name?')
 * ```
 */
export class ChatSession {
  /** What answers. */
  readonly model: Model
  readonly #options: LoadSessionOptions
  readonly #strategy: ContextStrategy
  #conversation: Conversation
  #isBusy = false
  #restored: RestoredState | undefined

  /** @throws {@link RkllmError} `invalid-request` and `unsupported` about an option or a message. */
  constructor(model: Model, options?: ChatSessionOptions) {
    const { system, messages = [], ...checked } = checkOptions(CHAT_SESSION_OPTIONS, options)
    if (typeof (model as Partial<Model> | null)?.chat !== 'function') {
      throw invalidRequest(`model must be a loaded model, got ${describeValue(model)}`, { option: 'model' })
    }
    this.model = model
    this.#options = checked
    this.#strategy = checked.contextStrategy ?? 'error'
    if (this.#strategy === 'shift' && !model.shiftsContext) {
      const message = "contextStrategy 'shift' takes a model that was loaded with contextOverflow: 'shift'"
      throw invalidRequest(message, { option: 'contextStrategy' })
    }
    // Says what is wrong with the tools now and not at the first turn.
    this.#loop({})
    this.#conversation = toConversation(system, messages)
  }

  /** What was said so far, as it is sent: the message of the system first, if there is one. A copy. */
  get messages(): readonly Message[] {
    return structuredClone(toMessages(this.#conversation))
  }

  /** How many turns there are: messages of the user, each with all that followed it. */
  get turns(): number {
    return turnsOf(this.#conversation.messages).length
  }

  /** What loading brought into the cache; undefined for sessions that were not loaded from a file. */
  get restored(): RestoredState | undefined {
    return this.#restored
  }

  /**
   * Says something and answers it: text as the user, a message, or several.
   *
   * Await it for the result, or iterate it for the parts, as with `runTools()`. One turn at a time: a second one
   * rejects with `invalid-request` until the first has ended. A turn that was cancelled stays in the history with
   * what was written; one cancelled before anything was leaves none, and so does one that rejects.
   */
  send(input: string | Message | readonly Message[], options?: TurnOptions): Answer<TurnResult, ToolRunPart> {
    const prepare = (): AnswerWork<TurnResult, ToolRunPart> => {
      const turn = toTurn(input)
      const checked = checkOptions(TURN_OPTIONS, options)
      const loop = this.#loop(checked)
      if (this.#isBusy) throw busy()
      const work = (run: AnswerRun<TurnResult, ToolRunPart>): Promise<TurnResult> => this.#take(turn, checked, loop, run)
      return { work, signal: checked.signal }
    }
    return Answer.of(new AnswerRun(prepare))
  }

  /** How many tokens the conversation takes as a prompt. */
  countTokens(): number {
    return this.#count(toMessages(this.#conversation), {})
  }

  /** Takes back the last turns; what they were. */
  rewind(turns = 1): readonly Message[] {
    if (this.#isBusy) throw busy()
    const all = turnsOf(this.#conversation.messages)
    if (!Number.isInteger(turns) || turns < 0 || turns > all.length) {
      const message = `turns must be a whole number from 0 to ${all.length}, which is how many there are, got ${describeExactly(turns)}`
      throw invalidRequest(message, { option: 'turns' })
    }
    const kept = all.length - turns
    this.#conversation = { ...this.#conversation, messages: all.slice(0, kept).flat() }
    return all.slice(kept).flat()
  }

  /** Another session with the same history, which goes its own way. A turn under way is not part of it. */
  fork(): ChatSession {
    return ChatSession.#of(this.model, this.#conversation, this.#options)
  }

  /** What was said, for `JSON.stringify`. */
  toJSON(): SavedChatSession {
    return structuredClone(toSaved(this.#conversation))
  }

  /**
   * The session that {@link toJSON} has written. Its options are given anew: a file cannot hold tools.
   *
   * @throws {@link RkllmError} `invalid-request`, whose `details.field` is what is wrong.
   */
  static fromJSON(model: Model, json: unknown, options?: LoadSessionOptions): ChatSession {
    return ChatSession.#of(model, fromSaved(json), options)
  }

  /**
   * Writes the session to `path` as JSON, and beside it, to `path` with `.state` at its end, what the cache holds of
   * it. Without the second file {@link load} works as well and the first turn takes longer.
   *
   * Rejects with an {@link RkllmError}: `invalid-request` for a path that cannot be written.
   */
  async save(path: FilePath): Promise<SavedSession> {
    const file = toPath(path)
    const conversation = this.#conversation
    const bytes = await writeSession(file, conversation)
    const saved = { messages: toMessages(conversation).length, bytes }
    if (saved.messages === 0) return { ...saved, state: null }
    const { tenant } = this.#options
    const prompt = toMessages(conversation)
    const state = this.model.saveState(stateOf(file), { prompt, template: this.#template({}), tenant })
    return { ...saved, ...(await state.then((done) => ({ state: done }), (error) => ({ state: null, stateProblem: problem(error) }))) }
  }

  /**
   * The session that {@link save} has written; {@link restored} tells what came back into the cache.
   *
   * Rejects with an {@link RkllmError}: `not-found`, or `model-invalid` with `details.path` and the field at fault as
   * `details.part`. A file of the cache that is missing or of another model is no error.
   */
  static async load(model: Model, path: FilePath, options?: LoadSessionOptions): Promise<ChatSession> {
    const file = toPath(path)
    const session = ChatSession.#of(model, await readSession(file), options)
    const loading = model.loadState(stateOf(file), { tenant: session.#options.tenant })
    session.#restored = await loading.catch((error) => ({ tokens: 0, problem: problem(error) }))
    return session
  }

  static #of(model: Model, conversation: Conversation, options: LoadSessionOptions | undefined): ChatSession {
    const { system: _, messages: __, ...others } = (options ?? {}) as ChatSessionOptions
    const session = new ChatSession(model, others)
    session.#conversation = conversation
    return session
  }

  async #take(
    turn: Message[],
    options: TurnOptions,
    loop: ToolLoop,
    run: AnswerRun<TurnResult, ToolRunPart>,
  ): Promise<TurnResult> {
    this.#isBusy = true
    try {
      const fitting = fit(this.#conversation, turn, this.#room(options), this.#strategy, run)
      // Without a summary to wait for, generating starts with the call.
      const { conversation, dropped } = fitting instanceof Promise ? await fitting : fitting
      const before = toMessages(conversation)
      const result = await loop(run, [...before, ...turn])
      const said = copied(result.messages.slice(before.length))
      const isKept = result.finishReason !== 'cancelled' || isAnswered(said)
      if (isKept) this.#conversation = { ...conversation, messages: [...conversation.messages, ...said] }
      // Before the last part, so that whoever reads that can send the next turn.
      this.#isBusy = false
      run.tell(toFinishPart(result))
      return { ...result, turn: structuredClone(said), dropped: isKept ? structuredClone(dropped) : [] }
    } finally {
      this.#isBusy = false
    }
  }

  #loop(options: TurnOptions): ToolLoop {
    const { contextStrategy: _, tools = [], ...defaults } = this.#options
    return toolLoop(this.model, { ...defaults, ...options, tools })
  }

  #room(options: TurnOptions): Room {
    const { contextSize } = this.model.info
    const most = Math.floor(contextSize * ANSWER_SHARE_MAX)
    const { maxTokens = Math.floor(contextSize * ANSWER_SHARE) } = { ...this.#options, ...options }
    const answer = this.#strategy === 'shift' ? 1 : Math.max(1, Math.min(maxTokens, most))
    return { tokens: contextSize - answer, count: (messages) => this.#count(messages, options) }
  }

  #count(messages: readonly Message[], options: TurnOptions): number {
    return messages.length === 0 ? 0 : this.model.countTokens(messages, this.#template(options))
  }

  /** How the messages of a turn become a prompt. */
  #template(options: TurnOptions): ChatTemplateOptions {
    const { tools = [], ...defaults } = this.#options
    const { templateArgs, toolChoice, parallelToolCalls, reasoning } = { ...defaults, ...options }
    const template = { templateArgs, parallelToolCalls, reasoning }
    if (tools.length === 0) return template
    return { ...template, toolChoice, tools: tools.map(({ definition }) => definition) }
  }
}

function stateOf(path: string): string {
  return `${path}.state`
}

/** What went wrong with the cache where that costs only time; anything else is thrown. */
function problem(error: unknown): RkllmError {
  if (RkllmError.is(error) && error.code !== 'closed') return error
  throw error
}

function busy(): RkllmError {
  return invalidRequest('a turn of this session is under way: await it, cancel it, or go on in a fork()')
}

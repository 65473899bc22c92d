import type { Message } from '../message.js'
import type { RunToolsOptions } from '../tools/run-tools-options.js'
import type { Tool } from '../tools/tool.js'
import type { ToolRunResult } from '../tools/tool-result.js'

/** How a turn is answered: what `chat()` takes, and what it takes to run the session's tools. */
export interface TurnOptions extends Omit<RunToolsOptions, 'tools'> {}

/** What a session begins with; the other options are the defaults of its turns. */
export interface ChatSessionOptions extends Omit<TurnOptions, 'signal'> {
  /**
   * Instructions, which are never dropped.
   *
   * @defaultValue the first of `messages`, where that is one of the system
   */
  readonly system?: string | undefined
  /**
   * What was said before.
   *
   * @defaultValue nothing
   */
  readonly messages?: readonly Message[] | undefined
  /**
   * What the model may call; each made by `tool()`.
   *
   * @defaultValue none
   */
  readonly tools?: readonly Tool[] | undefined
  /**
   * What happens when the conversation no longer fits the context.
   *
   * @defaultValue 'error'
   */
  readonly contextStrategy?: ContextStrategy | undefined
}

/**
 * What happens when a conversation no longer fits the context: the turn fails with `context-exceeded` (`'error'`);
 * the oldest turns are dropped, so that prompt and answer fit (`'drop-oldest'`) or only the prompt, with an answer
 * that goes on while the engine drops tokens (`'shift'`, for models loaded with `contextOverflow: 'shift'`); or
 * they are summarized.
 */
export type ContextStrategy = 'error' | 'drop-oldest' | 'shift' | SummarizeStrategy

/** The oldest turns are replaced by what a function makes of them. */
export interface SummarizeStrategy {
  /** Puts messages into a few sentences; the first of them is the last summary, if there is one. */
  readonly summarize: (messages: readonly Message[], context: SummarizeContext) => string | PromiseLike<string>
}

/** What a summary is made under. */
export interface SummarizeContext {
  /** Aborts when the turn is to stop. */
  readonly signal: AbortSignal
}

/** What a turn comes to. */
export interface TurnResult extends ToolRunResult {
  /** What was sent and what was said since. */
  readonly turn: readonly Message[]
  /** What left the conversation to make room, oldest first; a summary may stand for it. */
  readonly dropped: readonly Message[]
}

import type { ToolMessage } from '../message.js'
import type { DeltaPart } from '../parts.js'
import type { AnswerMessage, AnswerToolCall, FinishReason, Timings, Usage } from '../result.js'
import type { Message } from '../message.js'

/** What became of a call. */
export interface ToolResult {
  readonly toolCallId: string
  /** The tool. */
  readonly name: string
  /** What the tool was given; absent where the call did not get that far. */
  readonly input?: unknown
  /** What the tool gave; absent where it failed. */
  readonly output?: unknown
  /** What failed; absent where nothing did. The model only reads `content`. */
  readonly error?: unknown
  /** What the model reads. */
  readonly content: string
  readonly isError: boolean
}

/** An answer of the model in a run, with what became of the calls in it. */
export interface ToolStep {
  /** Which one, from 0. */
  readonly step: number
  readonly message: AnswerMessage
  readonly toolCalls: readonly AnswerToolCall[]
  /** In the order of the calls. */
  readonly toolResults: readonly ToolResult[]
  readonly finishReason: FinishReason
  readonly usage: Usage
  readonly timings: Timings
}

/** What a run comes to. */
export interface ToolRunResult {
  /** The text of the last answer. */
  readonly text: string
  /** The last answer. */
  readonly message: AnswerMessage
  /** The conversation that was given and everything that was said since, ready to go on with. */
  readonly messages: readonly Message[]
  readonly steps: readonly ToolStep[]
  /** Why the last answer ended; `'tool-calls'` where `maxSteps` ended the run. */
  readonly finishReason: FinishReason
  /** All steps together. */
  readonly usage: Usage
}

/** What became of a call, as soon as that is known. */
export interface ToolResultPart extends ToolResult {
  readonly type: 'tool-result'
  readonly step: number
}

/** The end of an answer in a run; its calls are executed next. */
export interface StepFinishPart {
  readonly type: 'step-finish'
  readonly step: number
  readonly finishReason: FinishReason
  readonly usage: Usage
  readonly timings: Timings
}

/** The last part of a run that did not fail. */
export interface ToolRunFinishPart {
  readonly type: 'finish'
  readonly finishReason: FinishReason
  /** All steps together. */
  readonly usage: Usage
  /** How many there were. */
  readonly steps: number
}

/** A piece of a run, told apart by `type`: those of its answers, with the step they belong to, and its own. */
export type ToolRunPart = (DeltaPart & { readonly step: number }) | StepFinishPart | ToolResultPart | ToolRunFinishPart

/** The message that tells the model. */
export function toToolMessage({ toolCallId, name, content }: ToolResult): ToolMessage {
  return { role: 'tool', content, toolCallId, name }
}

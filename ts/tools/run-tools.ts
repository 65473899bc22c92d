import { Answer } from '../answer.js'
import { AnswerRun } from '../answer-run.js'
import type { AnswerWork, Converter } from '../answer-run.js'
import type { ChatOptions } from '../chat-options.js'
import { checkOptions } from '../check-options.js'
import { describeExactly, describeValue } from '../describe-value.js'
import { invalidRequest } from '../error.js'
import type { Generation } from '../generation.js'
import type { Message } from '../message.js'
import { RUN_TOOLS_OPTIONS } from '../options.js'
import type { AnswerToolCall, ChatResult, Usage } from '../result.js'
import { callTool, failed } from './call-tool.js'
import type { CallContext } from './call-tool.js'
import type { RunToolsOptions } from './run-tools-options.js'
import { checkTools } from './tool.js'
import { toToolMessage } from './tool-result.js'
import type { ToolResult, ToolRunFinishPart, ToolRunPart, ToolRunResult, ToolStep } from './tool-result.js'

const STEPS_DEFAULT = 8
const STEPS_MAX = 100
/** The longest delay a timer takes. */
const TIMEOUT_MS_MAX = 2 ** 31 - 1
/** Calls of one answer that are executed; those beyond are told so. */
const CALLS_MAX = 64

/** What a run asks. */
export interface ToolModel {
  chat(messages: readonly Message[], options: ChatOptions): Generation<ChatResult>
}

/** What a loop needs of the answer that it works on. */
export type ToolStage = Pick<AnswerRun<unknown, ToolRunPart>, 'follow' | 'isCancelled' | 'signal' | 'tell' | 'wait'>

/** Asks and calls until the model answers. */
export type ToolLoop = (stage: ToolStage, messages: readonly Message[]) => Promise<ToolRunResult>

/** Runs tools until the model answers. */
export function runTools(
  model: ToolModel,
  messages: readonly Message[],
  options: RunToolsOptions,
): Answer<ToolRunResult, ToolRunPart> {
  const prepare = (): AnswerWork<ToolRunResult, ToolRunPart> => {
    const checked = checkOptions(RUN_TOOLS_OPTIONS, options)
    const loop = toolLoop(model, checked)
    const work = async (run: AnswerRun<ToolRunResult, ToolRunPart>): Promise<ToolRunResult> => {
      const result = await loop(run, messages)
      run.tell(toFinishPart(result))
      return result
    }
    return { work, signal: checked.signal }
  }
  return Answer.of(new AnswerRun(prepare))
}

/** The part that ends a run. */
export function toFinishPart({ finishReason, usage, steps }: ToolRunResult): ToolRunFinishPart {
  return { type: 'finish', finishReason, usage, steps: steps.length }
}

/** The loop that checked options describe. */
export function toolLoop(model: ToolModel, options: RunToolsOptions): ToolLoop {
  const { tools: given, maxSteps = STEPS_DEFAULT, toolTimeoutMs: timeoutMs, onStep, toolChoice, ...asked } = options
  if (given === undefined) throw invalidRequest('tools must be given', { option: 'tools' })
  const tools = checkTools(given)
  checkRange('maxSteps', maxSteps, STEPS_MAX)
  if (timeoutMs !== undefined) checkRange('toolTimeoutMs', timeoutMs, TIMEOUT_MS_MAX)
  const definitions = [...tools.values()].map(({ definition }) => definition)
  const offering: ChatOptions = definitions.length === 0 ? asked : { ...asked, tools: definitions }

  return async (stage, messages) => {
    if (!Array.isArray(messages)) throw invalidRequest(`messages must be an array, got ${describeValue(messages)}`)
    const said: Message[] = [...messages]
    const steps: ToolStep[] = []
    for (;;) {
      const step = steps.length
      const chat = model.chat([...said], { ...offering, toolChoice: choiceOf(toolChoice, step) })
      const result = await stage.follow(chat, stepConverter(step))
      const { message, finishReason, usage, timings } = result
      if (isSaid(result)) said.push(message)
      const toolCalls = message.toolCalls ?? []
      const context = { tools, messages: [...said], timeoutMs, signal: stage.signal }
      const toolResults = await stage.wait(callTools(toolCalls, step, context, stage))
      said.push(...toolResults.map(toToolMessage))
      const done: ToolStep = { step, message, toolCalls, toolResults, finishReason, usage, timings }
      steps.push(done)
      if (onStep !== undefined) await stage.wait(Promise.resolve(onStep(done)))
      if (toolCalls.length === 0 || steps.length === maxSteps || stage.isCancelled) {
        return finished(result, said, steps, stage.isCancelled)
      }
    }
  }
}

/** What was demanded is demanded once: a model that must call a tool at every step could never answer. */
function choiceOf(toolChoice: ChatOptions['toolChoice'], step: number): ChatOptions['toolChoice'] {
  return step === 0 || toolChoice === 'none' ? toolChoice : undefined
}

/** An answer that was cancelled before it began is nothing to go on with. */
function isSaid({ finishReason, message: { content, toolCalls } }: ChatResult): boolean {
  return finishReason !== 'cancelled' || content !== '' || toolCalls !== undefined
}

function stepConverter(step: number): () => Converter<ToolRunPart> {
  return () => (part) => {
    if (part.type !== 'finish') return [{ ...part, step }]
    const { finishReason, usage, timings } = part
    return [{ type: 'step-finish', step, finishReason, usage, timings }]
  }
}

/** The results in the order of the calls, each told of when it is there. */
function callTools(
  calls: readonly AnswerToolCall[],
  step: number,
  context: CallContext,
  stage: ToolStage,
): Promise<ToolResult[]> {
  const results = calls.map(async (call, index) => {
    const result = index < CALLS_MAX ? await callTool(call, context) : tooMany(call)
    stage.tell({ type: 'tool-result', step, ...result })
    return result
  })
  return Promise.all(results)
}

function tooMany({ id: toolCallId, function: { name } }: AnswerToolCall): ToolResult {
  return failed({ toolCallId, name }, new Error(`at most ${CALLS_MAX} calls at once are executed; call again`))
}

function finished(
  { text, message, finishReason }: ChatResult,
  messages: Message[],
  steps: ToolStep[],
  isCancelled: boolean,
): ToolRunResult {
  const usage = steps.map((step) => step.usage).reduce(sum)
  return { text, message, messages, steps, finishReason: isCancelled ? 'cancelled' : finishReason, usage }
}

/** What is absent in both stays absent. */
function sum(left: Usage, right: Usage): Usage {
  const names = new Set([...Object.keys(left), ...Object.keys(right)] as (keyof Usage)[])
  const total = [...names].map((name) => [name, (left[name] ?? 0) + (right[name] ?? 0)])
  return Object.fromEntries(total) as Usage
}

function checkRange(name: string, value: number, most: number): void {
  if (Number.isInteger(value) && value >= 1 && value <= most) return
  const message = `${name} must be a whole number from 1 to ${most}, got ${describeExactly(value)}`
  throw invalidRequest(message, { option: name })
}

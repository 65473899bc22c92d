import type { ChatOptions } from '../chat-options.js'
import { checkOptions } from '../check-options.js'
import { Answer } from '../answer.js'
import { AnswerRun } from '../answer-run.js'
import type { AnswerWork, Converter } from '../answer-run.js'
import { RkllmError, invalidRequest } from '../error.js'
import type { Generation } from '../generation.js'
import type { Message } from '../message.js'
import { OBJECT_OPTIONS } from '../options.js'
import type { ChatResult } from '../result.js'
import { describeIssues, toIssues } from '../schema/issues.js'
import { readSchema } from '../schema/read-schema.js'
import type { ReadSchema } from '../schema/read-schema.js'
import type { GenerateObjectOptions, ObjectPart, ObjectResult } from './object-result.js'
import { PartialJson } from './partial-json.js'

/** What an object is asked of. */
export interface ObjectModel {
  readonly info: { readonly contextSize: number }
  chat(messages: readonly Message[], options: ChatOptions): Generation<ChatResult>
}

type ObjectRun = AnswerRun<ObjectResult<unknown>, ObjectPart<unknown>>

/** Asks for an object: the answer is held to the schema, parsed and then validated. */
export function generateObject(
  model: ObjectModel,
  messages: readonly Message[],
  options: GenerateObjectOptions<unknown>,
): Answer<ObjectResult<unknown>, ObjectPart<unknown>> {
  const prepare = (): AnswerWork<ObjectResult<unknown>, ObjectPart<unknown>> => {
    const { schema: given, ...chatOptions } = checkOptions(OBJECT_OPTIONS, options)
    const schema = readSchema('schema', given)
    const responseFormat = { type: 'json_schema', jsonSchema: { schema: schema.jsonSchema } } as const
    const asked: ChatOptions = { ...chatOptions, responseFormat }
    const work = async (run: ObjectRun): Promise<ObjectResult<unknown>> => {
      const result = await run.follow(model.chat(messages, asked), objectConverter)
      checkEnd(result, asked, model, run)
      const object = await validated(parsed(result.text), result.text, schema, run)
      const { finishReason, usage, timings } = result
      run.tell({ type: 'finish', finishReason, usage, timings, object })
      return { ...result, object }
    }
    return { work, signal: asked.signal }
  }
  return Answer.of(new AnswerRun(prepare))
}

/** Adds what there is of the object; the last part comes from the work, once the object is there. */
function objectConverter(): Converter<ObjectPart<unknown>> {
  const partial = new PartialJson()
  return (part) => {
    if (part.type === 'finish') return []
    if (part.type !== 'text-delta' || !partial.push(part.text)) return [part]
    return [part, { type: 'object-delta', object: partial.value }]
  }
}

/** An answer that was cut off is never parsed: a number without its last digits is a number too. */
function checkEnd(result: ChatResult, { maxTokens }: ChatOptions, model: ObjectModel, run: ObjectRun): void {
  const { finishReason, text, usage } = result
  const details = { finishReason, text, usage }
  if (finishReason === 'cancelled') {
    if (!run.isCancelled) throw new RkllmError('closed', 'the answer ended with its model, before the object was whole', { details })
    throw invalidRequest('the answer was cancelled before the object was whole', details)
  }
  if (finishReason !== 'length') return
  if (maxTokens !== undefined && usage.completionTokens >= maxTokens) {
    const message = `maxTokens cut the object off after ${maxTokens} tokens: raise it, or bound the strings and arrays of the schema`
    throw invalidRequest(message, { option: 'maxTokens', ...details })
  }
  const { contextSize } = model.info
  const message = `the context of ${contextSize} tokens was full before the object was whole: bound the strings and arrays of the schema, or shorten the messages`
  throw new RkllmError('context-exceeded', message, { details: { promptTokens: usage.promptTokens, contextSize, ...details } })
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch (cause) {
    throw new RkllmError('engine-failed', 'the answer is no JSON although it was held to a schema', { details: { text }, cause })
  }
}

async function validated(value: unknown, text: string, { validate }: ReadSchema, run: ObjectRun): Promise<unknown> {
  if (validate === undefined) return value
  const checked = await run.wait(Promise.resolve(validate(value)))
  if (checked.issues === undefined) return checked.value
  const issues = toIssues(checked.issues)
  const message = `the answer does not pass its schema: ${describeIssues(issues)}`
  throw new RkllmError('engine-failed', message, { details: { issues, text } })
}

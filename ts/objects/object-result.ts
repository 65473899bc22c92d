import type { ChatOptions } from '../chat-options.js'
import type { DeltaPart, FinishPart } from '../parts.js'
import type { ChatResult } from '../result.js'

/** Options that would leave the answer no object, or ask for more than one. */
type Refused =
  | 'grammar'
  | 'ignoreEos'
  | 'jsonSchema'
  | 'n'
  | 'parallelToolCalls'
  | 'regex'
  | 'responseFormat'
  | 'stop'
  | 'stopTokens'
  | 'toolChoice'
  | 'tools'

/** How an object is made. */
export interface GenerateObjectOptions<Schema> extends Omit<ChatOptions, Refused> {
  /**
   * What the object must look like: a schema of zod 4.2, arktype 2.1.28 or any other library that implements
   * Standard JSON Schema, a JSON Schema, or `{ schema, jsonSchema }` for libraries that implement only Standard
   * Schema.
   */
  readonly schema: Schema
}

/** An answer that is an object. */
export interface ObjectResult<Output> extends ChatResult {
  /** What the schema made of the answer. */
  readonly object: Output
}

/** What there is of an object while it is written. */
export interface ObjectDeltaPart<Input> {
  readonly type: 'object-delta'
  /** As the model writes it, before the schema sees it. It is the same object each time and grows in place. */
  readonly object: PartialOf<Input>
}

/** The last part, once the object has passed its schema. */
export interface ObjectFinishPart<Output> extends FinishPart {
  readonly object: Output
}

/** A piece of a streamed object, told apart by `type`. */
export type ObjectPart<Output, Input = Output> = DeltaPart | ObjectDeltaPart<Input> | ObjectFinishPart<Output>

/** The same with anything missing that is not written yet. */
export type PartialOf<Value> =
  Value extends readonly (infer Item)[] ? PartialOf<Item>[]
  : Value extends object ? { readonly [Key in keyof Value]?: PartialOf<Value[Key]> }
  : Value

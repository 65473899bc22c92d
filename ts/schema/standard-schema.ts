/**
 * The two interfaces by which libraries of schemas (zod, valibot, arktype and others) can be used without
 * knowing them: Standard Schema 1 validates, Standard JSON Schema 1 tells the JSON Schema.
 */

/** A schema that validates: Standard Schema, version 1. */
export interface StandardSchema<Input = unknown, Output = Input> {
  readonly '~standard': StandardTypes<Input, Output> & {
    /** Checks a value and gives what the schema makes of it, now or later. */
    readonly validate: (value: unknown) => StandardResult<Output> | Promise<StandardResult<Output>>
  }
}

/** A schema that tells its JSON Schema: Standard JSON Schema, version 1. */
export interface StandardJsonSchema<Input = unknown, Output = Input> {
  readonly '~standard': StandardTypes<Input, Output> & {
    /** The JSON Schemas of what it takes and of what it gives. Either may throw. */
    readonly jsonSchema: {
      readonly input: (options: { readonly target: string }) => Record<string, unknown>
      readonly output: (options: { readonly target: string }) => Record<string, unknown>
    }
  }
}

/** What both have. */
export interface StandardTypes<Input = unknown, Output = Input> {
  readonly version: 1
  /** The library. */
  readonly vendor: string
  /** For the compiler only. */
  readonly types?: { readonly input: Input; readonly output: Output } | undefined
}

/** What became of a value: what the schema made of it, or what is wrong with it. */
export type StandardResult<Output> =
  | { readonly value: Output; readonly issues?: undefined }
  | { readonly issues: readonly StandardIssue[] }

/** Something that is wrong with a value. */
export interface StandardIssue {
  readonly message: string
  /** Where: keys from the outside in, plain or as `{ key }`. */
  readonly path?: readonly (PropertyKey | { readonly key: PropertyKey })[] | undefined
}

/** Whether `value` is a schema of one of the two kinds; some libraries make them of functions. */
export function isStandard(value: unknown): value is StandardSchema | StandardJsonSchema {
  if ((typeof value !== 'object' && typeof value !== 'function') || value === null) return false
  const standard: unknown = (value as Partial<StandardSchema>)['~standard']
  return typeof standard === 'object' && standard !== null && (standard as StandardTypes).version === 1
}

/** Whether it validates. */
export function validates(schema: StandardSchema | StandardJsonSchema): schema is StandardSchema {
  return typeof (schema as StandardSchema)['~standard'].validate === 'function'
}

/** Whether it tells its JSON Schema. */
export function describes(schema: StandardSchema | StandardJsonSchema): schema is StandardJsonSchema {
  return typeof (schema as StandardJsonSchema)['~standard'].jsonSchema?.input === 'function'
}

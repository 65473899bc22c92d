import { describeValue } from '../describe-value.js'
import { invalidRequest } from '../error.js'
import type { JsonSchema } from '../response-format.js'
import { describes, isStandard, validates } from './standard-schema.js'
import type { StandardJsonSchema, StandardResult, StandardSchema } from './standard-schema.js'

/** A schema as it is used here. */
export interface ReadSchema {
  /** What the model is held to. */
  readonly jsonSchema: JsonSchema
  /** Checks what the model wrote; absent for schemas that only describe. */
  readonly validate: Validate | undefined
}

type Validate = (value: unknown) => StandardResult<unknown> | Promise<StandardResult<unknown>>

/** The versions of JSON Schema to ask a library for, the first that it knows. */
const TARGETS = ['draft-2020-12', 'draft-07']

/** Reads a schema in any form that is taken; `name` is the option it was given as. */
export function readSchema(name: string, given: unknown): ReadSchema {
  if (isStandard(given)) {
    const jsonSchema = describes(given) ? converted(name, given) : refuseVendor(name, given)
    return { jsonSchema, validate: validatorOf(given) }
  }
  if (isPair(given)) {
    if (!isJsonSchema(given.jsonSchema)) throw noJsonSchema(`${name}.jsonSchema`, name, given.jsonSchema)
    return { jsonSchema: given.jsonSchema, validate: validatorOf(given.schema) }
  }
  if (!isJsonSchema(given)) throw noJsonSchema(name, name, given)
  return { jsonSchema: given, validate: undefined }
}

function validatorOf(schema: StandardSchema | StandardJsonSchema): Validate | undefined {
  return validates(schema) ? (value) => schema['~standard'].validate(value) : undefined
}

/** Of what the schema takes, because that is what the model writes: what it gives may be no JSON. */
function converted(name: string, schema: StandardJsonSchema): JsonSchema {
  const { jsonSchema, vendor } = schema['~standard']
  let cause: unknown
  for (const target of TARGETS) {
    try {
      // The address of the version says nothing to a model or a grammar.
      const { $schema: _, ...plain } = jsonSchema.input({ target })
      return plain
    } catch (error) {
      cause ??= error
    }
  }
  const why = cause instanceof Error ? cause.message : String(cause)
  const message = `${name} cannot be written as JSON Schema by ${vendor}: ${why}`
  throw invalidRequest(message, { option: name, vendor })
}

function refuseVendor(name: string, schema: StandardSchema | StandardJsonSchema): never {
  const { vendor } = schema['~standard']
  const message = `${name} does not tell its JSON Schema: ${remedy(vendor, '_zod' in schema)}`
  throw invalidRequest(message, { option: name, vendor })
}

function remedy(vendor: string, isZod4: boolean): string {
  if (vendor === 'zod' && isZod4) {
    return "update zod to 4.2 or newer, or pass { schema, jsonSchema: z.toJSONSchema(schema, { io: 'input' }) }"
  }
  if (vendor === 'zod') {
    return 'use zod 4.2 or newer, or pass { schema, jsonSchema: zodToJsonSchema(schema) } with zod-to-json-schema'
  }
  if (vendor === 'valibot') return 'pass toStandardJsonSchema(schema) of @valibot/to-json-schema 1.5 or newer'
  if (vendor === 'arktype') {
    return 'update arktype to 2.1.28 or newer, or pass { schema, jsonSchema: schema.toJsonSchema() }'
  }
  return 'pass { schema, jsonSchema } with its JSON Schema'
}

function isPair(value: unknown): value is { schema: StandardSchema | StandardJsonSchema; jsonSchema: unknown } {
  return isObject(value) && 'jsonSchema' in value && isStandard((value as { schema?: unknown }).schema)
}

function isJsonSchema(value: unknown): value is JsonSchema {
  return typeof value === 'boolean' || isObject(value)
}

function isObject(value: unknown): value is object {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

function noJsonSchema(place: string, option: string, value: unknown): Error {
  const expected = place === option ? 'a Standard Schema, a JSON Schema or { schema, jsonSchema }' : 'a JSON Schema'
  return invalidRequest(`${place} must be ${expected}, got ${describeValue(value)}`, { option })
}

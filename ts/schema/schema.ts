import type { JsonSchema } from '../response-format.js'
import type { StandardJsonSchema, StandardSchema } from './standard-schema.js'

/** A schema of a library that does not tell its JSON Schema, with that beside it. */
export interface SchemaPair<Schema extends StandardSchema = StandardSchema> {
  readonly schema: Schema
  /** What the schema takes, as JSON Schema. */
  readonly jsonSchema: JsonSchema
}

/** A schema with a type of its own: one of zod, valibot, arktype or any other library of Standard Schemas. */
export type TypedSchema = StandardSchema | StandardJsonSchema | SchemaPair

/** What a typed schema makes of valid input. */
export type OutputOf<Schema> =
  Schema extends SchemaPair<infer Paired> ? StandardOutput<Paired>
  : Schema extends StandardSchema | StandardJsonSchema ? StandardOutput<Schema>
  : unknown

/** What a typed schema takes, which is what the model writes. */
export type InputOf<Schema> =
  Schema extends SchemaPair<infer Paired> ? StandardInput<Paired>
  : Schema extends StandardSchema | StandardJsonSchema ? StandardInput<Schema>
  : unknown

type StandardOutput<Schema extends StandardSchema | StandardJsonSchema> = NonNullable<
  Schema['~standard']['types']
>['output']

type StandardInput<Schema extends StandardSchema | StandardJsonSchema> = NonNullable<
  Schema['~standard']['types']
>['input']

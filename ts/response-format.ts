/** What an answer must look like. */
export type ResponseFormat =
  | { readonly type: 'text' }
  | { readonly type: 'json_object' }
  | { readonly type: 'json_schema'; readonly jsonSchema: JsonSchemaFormat }

/** A JSON Schema for answers. Its name and description are for people; it is enforced whether `strict` or not. */
export interface JsonSchemaFormat {
  readonly name?: string | undefined
  readonly description?: string | undefined
  readonly schema: JsonSchema
  readonly strict?: boolean | undefined
}

/** A JSON Schema: an object of keywords, or `true` for anything and `false` for nothing. */
export type JsonSchema = boolean | Readonly<Record<string, unknown>>

/** A tool that a model may call, in OpenAI's shape. */
export interface ToolDefinition {
  readonly type: 'function'
  readonly function: {
    /** 1 to 64 letters, digits, `_` and `-`; different for each tool. */
    readonly name: string
    /** What the tool does, for the model. */
    readonly description?: string | undefined
    /** JSON Schema of the arguments, an object. Without one the tool takes none. */
    readonly parameters?: Readonly<Record<string, unknown>> | undefined
    /** Taken for compatibility: arguments follow the schema wherever the engine can be held to it. */
    readonly strict?: boolean | undefined
  }
}

/** Whether the model may, must not or must call a tool, or must call this one. */
export type ToolChoice =
  | 'auto'
  | 'none'
  | 'required'
  | { readonly type: 'function'; readonly function: { readonly name: string } }

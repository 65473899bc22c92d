/** A piece of a message's content. */
export interface TextContent {
  readonly type: 'text'
  readonly text: string
}

/** What a message says: a string, or pieces of text. */
export type MessageContent = string | readonly TextContent[]

/** Instructions to the model. */
export interface SystemMessage {
  readonly role: 'system' | 'developer'
  readonly content: MessageContent
  readonly name?: string | undefined
}

/** What the user says. */
export interface UserMessage {
  readonly role: 'user'
  readonly content: MessageContent
  readonly name?: string | undefined
}

/** A call of a tool that the model asked for. */
export interface ToolCall {
  readonly id?: string | undefined
  readonly type?: 'function' | undefined
  readonly function: {
    readonly name: string
    /** An object, or one as JSON. */
    readonly arguments: string | Readonly<Record<string, unknown>>
  }
}

/** What the model said. */
export interface AssistantMessage {
  readonly role: 'assistant'
  /** May be absent where there are `toolCalls`. */
  readonly content?: MessageContent | null | undefined
  /** What it thought before. */
  readonly reasoning?: string | undefined
  readonly toolCalls?: readonly ToolCall[] | undefined
  readonly name?: string | undefined
}

/** What a tool answered. */
export interface ToolMessage {
  readonly role: 'tool'
  readonly content: MessageContent
  /** The `id` of the call it answers. */
  readonly toolCallId?: string | undefined
  readonly name?: string | undefined
}

/** One message of a conversation, told apart by `role`. */
export type Message = SystemMessage | UserMessage | AssistantMessage | ToolMessage

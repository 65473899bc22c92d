/** Text in a message. */
export interface TextContent {
  readonly type: 'text'
  readonly text: string
}

/** An image in a message of the user, for models loaded with `mmproj`. */
export interface ImageContent {
  readonly type: 'image'
  /**
   * A PNG, JPEG, WebP or GIF: its bytes, a data URL, the path of its file or a `file:` URL. Of an animation the first
   * picture counts.
   *
   * A path is read with the rights of this process, so do not take it from somebody else.
   */
  readonly image: Uint8Array | string | URL
  /** Begins with `image/`. What the image is shows in its bytes. */
  readonly mediaType?: string | undefined
}

/** The same in OpenAI's shape. Only data URLs are taken: nothing is fetched, and no file is read. */
export interface ImageUrlContent {
  readonly type: 'image_url'
  readonly imageUrl: { readonly url: string }
}

/** Sound in a message of the user, for models loaded with an `mmproj` that hears. */
export interface AudioContent {
  readonly type: 'audio'
  /**
   * A WAV, MP3 or FLAC of any rate and with any channels: its bytes, a data URL, the path of its file or a `file:` URL.
   *
   * A path is read with the rights of this process, so do not take it from somebody else.
   */
  readonly audio: Uint8Array | string | URL
  /** Begins with `audio/`. What the sound is shows in its bytes. */
  readonly mediaType?: string | undefined
}

/** The same in OpenAI's shape: base64 of the file. */
export interface InputAudioContent {
  readonly type: 'input_audio'
  readonly inputAudio: { readonly data: string; readonly format: 'wav' | 'mp3' | 'flac' }
}

/** What a message says: a string, or pieces of text. */
export type MessageContent = string | readonly TextContent[]

/** Instructions to the model. */
export interface SystemMessage {
  readonly role: 'system' | 'developer'
  readonly content: MessageContent
  readonly name?: string | undefined
}

/** What the user says: a string, or text, images and sound in any order. */
export type UserContent = string | readonly (TextContent | ImageContent | ImageUrlContent | AudioContent | InputAudioContent)[]

/** What the user says. */
export interface UserMessage {
  readonly role: 'user'
  readonly content: UserContent
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

/**
 * Whether a model thinks, and what becomes of its thoughts: they come apart from the text, the template being told
 * that they are wanted (`'on'`), that they are not (`'off'`) or nothing (`'auto'`), or they stay in it (`'inline'`).
 */
export type ReasoningMode = 'auto' | 'on' | 'off' | 'inline'

/** A mode, or a mode and how long the model may think. */
export type Reasoning =
  | ReasoningMode
  | {
      /** @defaultValue 'auto' */
      readonly mode?: ReasoningMode | undefined
      /** Tokens after which thoughts are ended and the answer begins; no limit without. */
      readonly maxTokens?: number | undefined
    }

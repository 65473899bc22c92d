import type { TextDeltaPart } from './parts.js'
import type { TokenLogprob } from './result.js'

interface Folded {
  text: string
  readonly tokens: number[]
  readonly logprobs: TokenLogprob[]
}

/** Parts that arrived before anybody iterated, as one part for each choice. */
export class Fold {
  readonly #choices = new Map<number, Folded>()

  add(part: TextDeltaPart): void {
    let folded = this.#choices.get(part.index)
    if (folded === undefined) {
      folded = { text: '', tokens: [], logprobs: [] }
      this.#choices.set(part.index, folded)
    }
    folded.text += part.text
    for (const token of part.tokens) folded.tokens.push(token)
    for (const logprob of part.logprobs ?? []) folded.logprobs.push(logprob)
  }

  /** Hands over what was gathered and forgets it. */
  take(): TextDeltaPart[] {
    const parts = Array.from(this.#choices, ([index, { text, tokens, logprobs }]): TextDeltaPart => {
      const part = { type: 'text-delta' as const, text, tokens, index }
      return logprobs.length === 0 ? part : { ...part, logprobs }
    })
    this.#choices.clear()
    return parts.sort((left, right) => left.index - right.index)
  }
}

import type { NativePart } from './native.js'

/** What a caller passes as `onToken`. */
export type OnToken = (text: string, tokenId: number) => void

/** Calls `onToken` once for each token, so that the texts it hears add up to the answer's. */
export class TokenCallback {
  readonly #onToken: OnToken
  /** The last token of each choice. */
  readonly #last: number[] = []

  constructor(onToken: OnToken) {
    this.#onToken = onToken
  }

  /** Passes on one part, for as long as `isWanted` says; what `onToken` throws is thrown. */
  call({ type, index, text: said, tokens }: NativePart, isWanted: () => boolean): void {
    const text = type === undefined ? said : ''
    const last = tokens.at(-1)
    if (last !== undefined) {
      this.#last[index] = last
      for (const token of tokens.slice(0, -1)) {
        this.#onToken('', token)
        if (!isWanted()) return
      }
    }
    // Text that was held back as the possible beginning of a stop string comes after its token.
    const owner = this.#last[index]
    if (owner !== undefined && (text !== '' || last !== undefined)) this.#onToken(text, owner)
  }
}

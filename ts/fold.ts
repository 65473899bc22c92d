import type { DeltaPart } from './parts.js'
import type { TokenLogprob } from './result.js'

interface Folded {
  /** The first of them, which says what they are. */
  readonly part: DeltaPart
  text: string
  readonly tokens: number[]
  readonly logprobs: TokenLogprob[]
}

/** Parts that arrived before anybody iterated, each joined with those before it that it continues. */
export class Fold {
  readonly #choices = new Map<number, Folded[]>()

  add(part: DeltaPart): void {
    let choice = this.#choices.get(part.index)
    if (choice === undefined) this.#choices.set(part.index, (choice = []))
    let folded = choice.at(-1)
    if (folded === undefined || !continues(part, folded.part)) {
      folded = { part, text: '', tokens: [], logprobs: [] }
      choice.push(folded)
    }
    folded.text += textOf(part)
    for (const token of part.tokens) folded.tokens.push(token)
    for (const logprob of part.logprobs ?? []) folded.logprobs.push(logprob)
  }

  /** Hands over what was gathered, choice by choice, and forgets it. */
  take(): DeltaPart[] {
    const choices = [...this.#choices].sort(([left], [right]) => left - right)
    this.#choices.clear()
    return choices.flatMap(([, folded]) => folded.map(unfold))
  }
}

function continues(part: DeltaPart, last: DeltaPart): boolean {
  if (part.type === 'tool-call') return false
  if (part.type !== 'tool-call-delta') return part.type === last.type
  return last.type === 'tool-call-delta' && last.callIndex === part.callIndex
}

function textOf(part: DeltaPart): string {
  if (part.type === 'tool-call') return ''
  return part.type === 'tool-call-delta' ? part.argumentsDelta : part.text
}

function unfold({ part, text, tokens, logprobs }: Folded): DeltaPart {
  const source = logprobs.length === 0 ? { tokens } : { tokens, logprobs }
  if (part.type === 'tool-call') return { ...part, ...source }
  if (part.type === 'tool-call-delta') return { ...part, argumentsDelta: text, ...source }
  return { ...part, text, ...source }
}

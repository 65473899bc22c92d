import { describeValue } from './describe-value.js'
import { invalidRequest } from './error.js'

/** How documents are ranked. */
export interface RerankOptions {
  /**
   * Most results, the best first; a whole number from 1 to 1024.
   *
   * @defaultValue all
   */
  readonly topN?: number | undefined
  /**
   * What makes a document fit the query, in one sentence. For models that are asked; one that ranks with a head
   * takes it only where its file has a place for it.
   *
   * @defaultValue that it answers the query
   */
  readonly instruction?: string | undefined
}

/** A document and how well it fits. */
export interface RankedDocument {
  /** Its place in the list that was given. */
  readonly index: number
  /** From 0 to 1: how likely it fits, by the model's head or by its "yes" where only "yes" and "no" count. */
  readonly score: number
}

/** Documents, the best first. */
export interface RerankResult {
  readonly results: readonly RankedDocument[]
  readonly usage: RerankUsage
}

/** What ranking cost in tokens. */
export interface RerankUsage {
  /** Tokens of the prompts about all documents together. */
  readonly promptTokens: number
}

/** The documents to rank, checked. */
export function toDocuments(documents: unknown): string[] {
  if (!Array.isArray(documents)) {
    const message = `documents must be an array of strings, got ${describeValue(documents)}`
    throw invalidRequest(message, { option: 'documents' })
  }
  const texts: unknown[] = [...documents]
  const wrong = texts.findIndex((text) => typeof text !== 'string')
  if (wrong === -1) return texts as string[]
  const message = `documents[${wrong}] must be a string, got ${describeValue(texts[wrong])}`
  throw invalidRequest(message, { option: 'documents' })
}

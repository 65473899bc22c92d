import { describeValue } from './describe-value.js'
import { invalidRequest } from './error.js'

/** How vectors are made. */
export interface EmbedOptions {
  /**
   * Keeps this many of the first numbers of each vector. Only models trained for it
   * ("Matryoshka") keep their meaning.
   *
   * @defaultValue all
   */
  readonly dimensions?: number | undefined
  /**
   * Scales each vector to length 1, after `dimensions` cut it.
   *
   * @defaultValue true
   */
  readonly normalize?: boolean | undefined
}

/** Vectors and what they cost. */
export interface EmbedResult {
  /** One vector for each text, in their order. */
  readonly embeddings: readonly Float32Array[]
  readonly usage: EmbedUsage
}

/** What embedding cost in tokens. */
export interface EmbedUsage {
  /** Tokens of all texts together. */
  readonly promptTokens: number
}

/** The texts to embed, checked. */
export function toInputs(input: unknown): string[] {
  const inputs: unknown[] = Array.isArray(input) ? [...input] : [input]
  const wrong = inputs.findIndex((text) => typeof text !== 'string')
  if (wrong === -1) return inputs as string[]
  if (!Array.isArray(input)) {
    throw invalidRequest(`input must be a string or an array of strings, got ${describeValue(input)}`)
  }
  throw invalidRequest(`input[${wrong}] must be a string, got ${describeValue(inputs[wrong])}`)
}

/** A vector of the model as `options` ask for it; may change `vector` itself. */
export function shapeVector(vector: Float32Array, { dimensions, normalize = true }: EmbedOptions): Float32Array {
  const shaped = dimensions === undefined ? vector : cut(vector, dimensions)
  return normalize ? scaleToOne(shaped) : shaped
}

function cut(vector: Float32Array, dimensions: number): Float32Array {
  if (!Number.isInteger(dimensions) || dimensions < 1 || dimensions > vector.length) {
    const message = `dimensions must be a whole number between 1 and ${vector.length}, got ${dimensions}`
    throw invalidRequest(message, { option: 'dimensions' })
  }
  // A copy: a view would keep the whole vector in memory.
  return vector.slice(0, dimensions)
}

function scaleToOne(vector: Float32Array): Float32Array {
  let squares = 0
  for (const value of vector) squares += value * value
  // A text of no tokens has no direction to keep.
  if (squares === 0) return vector
  const length = Math.sqrt(squares)
  for (let i = 0; i < vector.length; i += 1) vector[i] = (vector[i] as number) / length
  return vector
}

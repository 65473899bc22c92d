import { types } from 'node:util'

/** The part of an option that works already. */
export interface OptionLimit {
  /** What works, for people; absent if nothing does. */
  readonly expected?: string
  readonly allows: (value: unknown) => boolean
}

/** What one option accepts. */
export interface OptionRule {
  /** What it must be, for people: `a number`. */
  readonly expected: string
  readonly accepts: (value: unknown) => boolean
  /** Which of these values this version can honour, where it is not all of them. */
  readonly limit?: OptionLimit

}

const isNumber = (value: unknown): value is number => typeof value === 'number'
const isString = (value: unknown): value is string => typeof value === 'string'
const isArrayOf = (isItem: (value: unknown) => boolean) => (value: unknown) =>
  Array.isArray(value) && value.every(isItem)
const isObject = (value: unknown): value is object => typeof value === 'object' && value !== null
const isRecord = (value: unknown): value is object => isObject(value) && !Array.isArray(value)

// Ranges are checked by the engine's own table, so that they are written down once.
export const number: OptionRule = { expected: 'a number', accepts: isNumber }
export const boolean: OptionRule = { expected: 'a boolean', accepts: (value) => typeof value === 'boolean' }
export const string: OptionRule = { expected: 'a string', accepts: isString }
export const callback: OptionRule = { expected: 'a function', accepts: (value) => typeof value === 'function' }
export const record: OptionRule = { expected: 'an object', accepts: isRecord }

/** Its keywords are checked by the addon. */
export const schema: OptionRule = {
  expected: 'a JSON Schema: an object or a boolean',
  accepts: (value) => typeof value === 'boolean' || isRecord(value),
}

export const path: OptionRule = {
  expected: 'a path or a file: URL',
  accepts: (value) => isString(value) || value instanceof URL,
}

export const paths: OptionRule = { expected: 'an array of paths or file: URLs', accepts: isArrayOf(path.accepts) }

export const strings: OptionRule = { expected: 'an array of strings', accepts: isArrayOf(isString) }

export const stringOrStrings: OptionRule = {
  expected: 'a string or an array of strings',
  accepts: (value) => isString(value) || isArrayOf(isString)(value),
}

export const tokens: OptionRule = {
  expected: 'an array of token numbers',
  accepts: (value) => types.isUint32Array(value) || isArrayOf(isNumber)(value),
}

export const floats: OptionRule = { expected: 'a Float32Array', accepts: types.isFloat32Array }

export const prompt: OptionRule = {
  expected: 'text, token numbers or messages',
  accepts: (value) => isString(value) || tokens.accepts(value) || (isArrayOf(isRecord)(value) && (value as []).length > 0),
}

export const logitBias: OptionRule = {
  expected: 'an object, a Map or an array of [token, bias] pairs, all of them numbers',
  accepts: (value) => {
    if (types.isMap(value)) return [...value].every(isPair)
    if (Array.isArray(value)) return value.every(isPair)
    return isObject(value) && Object.values(value).every(isNumber)
  },
}

export const lora: OptionRule = {
  expected: 'the name of an adapter or an object of names and scales',
  accepts: (value) => isString(value) || (isRecord(value) && Object.values(value).every(isNumber)),
}

export const controlVectors: OptionRule = { ...lora, expected: 'the name of a control vector or an object of names and scales' }

export const speculative: OptionRule = {
  expected: "{ mode: 'none' | 'lookup' | 'draft', maxTokens?: number }",
  accepts: (value) => {
    if (!isRecord(value)) return false
    const { mode, maxTokens, ...others } = value as Record<string, unknown>
    const isMode = isString(mode) && ['none', 'lookup', 'draft'].includes(mode)
    return isMode && (maxTokens === undefined || isNumber(maxTokens)) && Object.keys(others).length === 0
  },
}

export const layerRange: OptionRule = { expected: 'a pair of layers, [first, last]', accepts: isPair }

export const signal: OptionRule = {
  expected: 'an AbortSignal',
  accepts: (value) => isObject(value) && 'aborted' in value && 'addEventListener' in value,
}

export const layers: OptionRule = {
  expected: "'auto' or a number of layers",
  // The addon writes 'auto' as -1, which must not become a second way to ask for it.
  accepts: (value) => value === 'auto' || (isNumber(value) && !(value < 0)),
}

/** An option of a later version, refused whatever its value. */
export const unsupported: OptionRule = {
  expected: 'anything',
  accepts: () => true,
  limit: { allows: () => false },
}

/** Checked where it is read. */
export const anything: OptionRule = { expected: 'anything', accepts: () => true }

export const contextStrategy: OptionRule = {
  expected: "'error', 'drop-oldest', 'shift' or { summarize: function }",
  accepts: (value) => {
    if (!isRecord(value)) return isString(value) && ['error', 'drop-oldest', 'shift'].includes(value)
    const { summarize, ...others } = value as Record<string, unknown>
    return typeof summarize === 'function' && Object.keys(others).length === 0
  },
}

/** Items are checked where they are written for the addon. */
export const array: OptionRule = { expected: 'an array', accepts: Array.isArray }

export const toolChoice: OptionRule = {
  expected: "'auto', 'none', 'required' or { type: 'function', function: { name } }",
  accepts: (value) => {
    if (isString(value)) return ['auto', 'none', 'required'].includes(value)
    if (!isRecord(value)) return false
    const { type, function: named } = value as Record<string, unknown>
    return type === 'function' && isRecord(named) && isString((named as Record<string, unknown>)['name'])
  },
}

const REASONING_MODES = ['auto', 'on', 'off', 'inline']

export const reasoning: OptionRule = {
  expected: "'auto', 'on', 'off', 'inline' or { mode?, maxTokens? }",
  accepts: (value) => {
    const isMode = (word: unknown) => REASONING_MODES.includes(word as string)
    if (!isRecord(value)) return isMode(value)
    const { mode, maxTokens, ...others } = value as Record<string, unknown>
    const isGood = (mode === undefined || isMode(mode)) && (maxTokens === undefined || Number.isFinite(maxTokens))
    return isGood && Object.keys(others).length === 0
  },
}

/** One of these words. */
export function word(words: readonly string[]): OptionRule {
  return {
    expected: words.map((one) => JSON.stringify(one)).join(' or '),
    accepts: (value) => isString(value) && words.includes(value),
  }
}

/** Of all words, or of all objects by their `field`, only those named by `words`. */
export function only(words: readonly string[], field?: string): OptionRule {
  const quoted = words.map((word) => JSON.stringify(word)).join(' or ')
  const word = (value: unknown): unknown => (field === undefined ? value : (value as Record<string, unknown>)[field])
  return {
    ...(field === undefined ? { expected: 'anything', accepts: () => true } : record),
    limit: {
      expected: field === undefined ? quoted : `{ ${field}: ${quoted} }`,
      allows: (value) => words.includes(word(value) as string),
    },
  }
}

function isPair(value: unknown): boolean {
  return Array.isArray(value) && value.length === 2 && value.every(isNumber)
}

/** Deeper than this nothing is shown while it is written; the whole is parsed at the end all the same. */
const DEPTH_MAX = 128

const ESCAPES: Readonly<Record<string, string>> = { b: '\b', f: '\f', n: '\n', r: '\r', t: '\t' }
const SPACE = ' \n\r\t'

interface Frame {
  readonly container: unknown[] | Record<string, unknown>
  /** Where the next value goes. */
  key: string | number
}

type State = 'value' | 'key' | 'colon' | 'after' | 'string' | 'escape' | 'scalar' | 'end'

/**
 * JSON as far as it is written: a value that grows in place, so that each character costs the same.
 *
 * A string shows as it grows, a number or word once it is whole. Reads what a grammar has let through, so it does
 * not tell what is wrong with anything else: there it stops to grow.
 */
export class PartialJson {
  #value: unknown
  readonly #frames: Frame[] = []
  #state: State = 'value'
  /** The string or scalar that is being read. */
  #piece = ''
  #isKey = false
  /** What follows a backslash so far. */
  #escape = ''
  #hasChanged = false

  /** What there is; undefined before the first value begins. */
  get value(): unknown {
    return this.#value
  }

  /** Reads on; whether there is more to see than before. */
  push(text: string): boolean {
    this.#hasChanged = false
    for (const character of text) this.#read(character)
    if (this.#state === 'string' && !this.#isKey) this.#put(this.#piece)
    return this.#hasChanged
  }

  #read(character: string): void {
    if (this.#state === 'string') this.#readString(character)
    else if (this.#state === 'escape') this.#readEscape(character)
    else if (this.#state === 'scalar' && !`,]}${SPACE}`.includes(character)) this.#piece += character
    else {
      if (this.#state === 'scalar') this.#endScalar()
      if (!SPACE.includes(character)) this.#readStructure(character)
    }
  }

  #readString(character: string): void {
    if (character === '\\') this.#state = 'escape'
    else if (character !== '"') this.#piece += character
    else if (this.#isKey) {
      const frame = this.#frames.at(-1)
      if (frame !== undefined) frame.key = this.#piece
      this.#state = 'colon'
    } else {
      this.#put(this.#piece)
      this.#endValue()
    }
  }

  #readEscape(character: string): void {
    this.#escape += character
    if (this.#escape.startsWith('u')) {
      if (this.#escape.length < 5) return
      this.#piece += String.fromCharCode(Number.parseInt(this.#escape.slice(1), 16))
    } else {
      this.#piece += ESCAPES[character] ?? character
    }
    this.#escape = ''
    this.#state = 'string'
  }

  #readStructure(character: string): void {
    if (this.#state === 'end') return
    if (character === '}' || character === ']') this.#leave()
    else if (this.#state === 'colon') this.#state = character === ':' ? 'value' : 'end'
    else if (this.#state === 'after') this.#next()
    else if (character === '"') this.#beginString()
    else if (this.#state === 'key') this.#state = 'end'
    else if (character === '{') this.#enter({ container: {}, key: '' }, 'key')
    else if (character === '[') this.#enter({ container: [], key: 0 }, 'value')
    else {
      this.#piece = character
      this.#state = 'scalar'
    }
  }

  #beginString(): void {
    this.#isKey = this.#state === 'key'
    this.#piece = ''
    this.#state = 'string'
  }

  #enter(frame: Frame, state: State): void {
    this.#put(frame.container)
    this.#frames.push(frame)
    this.#state = this.#frames.length > DEPTH_MAX ? 'end' : state
  }

  #leave(): void {
    this.#frames.pop()
    this.#endValue()
  }

  #next(): void {
    const frame = this.#frames.at(-1)
    if (frame === undefined) return
    if (typeof frame.key === 'number') frame.key += 1
    this.#state = typeof frame.key === 'number' ? 'value' : 'key'
  }

  #endScalar(): void {
    try {
      this.#put(JSON.parse(this.#piece))
      this.#endValue()
    } catch {
      this.#state = 'end'
    }
  }

  #endValue(): void {
    this.#state = this.#frames.length === 0 ? 'end' : 'after'
  }

  /** Not by assignment, to which `__proto__` is no name like others. */
  #put(value: unknown): void {
    this.#hasChanged = true
    const frame = this.#frames.at(-1)
    if (frame === undefined) this.#value = value
    else Object.defineProperty(frame.container, frame.key, { value, writable: true, enumerable: true, configurable: true })
  }
}

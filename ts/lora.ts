import { invalidRequest } from './error.js'
import type { LoraSelection } from './generate-options.js'

/** How an adapter is known to the requests that use it. */
export interface LoadLoraOptions {
  /** What requests call it. */
  readonly name: string
  /**
   * How strongly it applies where a request does not say.
   *
   * @defaultValue 1
   */
  readonly scale?: number | undefined
}

/** A loaded adapter. */
export interface LoadedLora {
  readonly name: string
  readonly path: string
  readonly scale: number
}

/** The adapters of one model. */
export class LoadedLoras {
  readonly #loaded = new Map<string, LoadedLora>()
  /** Names whose load has not ended. */
  readonly #loading = new Set<string>()

  get all(): readonly LoadedLora[] {
    return [...this.#loaded.values()]
  }

  /** Keeps `lora`, once `load` has loaded it; nobody else can take its name in the meantime. */
  async add(lora: LoadedLora, load: () => Promise<void>): Promise<void> {
    if (this.#loaded.has(lora.name) || this.#loading.has(lora.name)) {
      throw invalidRequest(`name ${JSON.stringify(lora.name)} is taken by another ${this.#kind}; unload that one first`)
    }
    this.#loading.add(lora.name)
    try {
      await load()
      this.#loaded.set(lora.name, lora)
    } finally {
      this.#loading.delete(lora.name)
    }
  }

  remove(name: string): void {
    this.#loaded.delete(name)
  }

  /** The options of a request that names them, and what they are called in messages. */
  readonly #option: string
  readonly #kind: string

  constructor(option = 'lora', kind = 'adapter') {
    this.#option = option
    this.#kind = kind
  }

  /** The adapters a request asks for, with the scales it runs them at. */
  select(selection: LoraSelection): { readonly name: string; readonly scale: number }[] {
    if (typeof selection === 'string') return [{ name: selection, scale: this.#find(selection).scale }]
    return Object.entries(selection).map(([name, scale]) => ({ name: this.#find(name).name, scale }))
  }

  #find(name: string): LoadedLora {
    const lora = this.#loaded.get(name)
    if (lora !== undefined) return lora
    const names = [...this.#loaded.keys()].map((known) => JSON.stringify(known)).join(', ')
    const loaded = names === '' ? 'none is' : `there are ${names}`
    throw invalidRequest(`${this.#option} ${JSON.stringify(name)} is not loaded; ${loaded}`, { option: this.#option })
  }
}

import { invalidRequest } from './error.js'

/** `value` as JSON for the addon; `name` is what the caller knows it by. */
export function toJson(name: string, value: unknown): string {
  try {
    return JSON.stringify(value, wellFormed)
  } catch (error) {
    throw invalidRequest(`${name} cannot be written as JSON: ${error instanceof Error ? error.message : String(error)}`, { option: name })
  }
}

/** Half of an emoji, as left by cutting a string, would not be valid JSON to the addon. */
function wellFormed(_key: string, value: unknown): unknown {
  return typeof value === 'string' ? (value as WellFormable).toWellFormed() : value
}

/** Part of every supported Node.js, but not of the ES2022 types. */
type WellFormable = string & { toWellFormed(): string }

/** What `value` is, for the end of "…, got": `a string`, `null`, `an array`. */
export function describeValue(value: unknown): string {
  if (value === null || value === undefined) return String(value)
  if (Array.isArray(value)) return 'an array'
  const type = typeof value
  return type === 'object' ? 'an object' : `a ${type}`
}

/** The same, with the value itself where it is short and plain. */
export function describeExactly(value: unknown): string {
  if (typeof value === 'string' && value.length <= 64) return JSON.stringify(value)
  if (typeof value === 'number' || typeof value === 'boolean') return String(value)
  return describeValue(value)
}

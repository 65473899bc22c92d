import type { StandardIssue } from './standard-schema.js'

/** Something that is wrong with a value, as an error's details list it. */
export interface SchemaIssue {
  /** Where: keys from the outside in; empty for the whole. */
  readonly path: readonly (string | number)[]
  readonly message: string
}

/** Issues that are told; a list with one for each item of a long array helps nobody. */
const ISSUES_MAX = 20
/** Issues that a message spells out. */
const SPELLED_MAX = 3

/** The issues as plain data, at most 20 of them. */
export function toIssues(issues: readonly StandardIssue[]): SchemaIssue[] {
  return issues.slice(0, ISSUES_MAX).map(({ message, path = [] }) => ({ path: Array.from(path, toKey), message }))
}

/** The issues in a line: `age: too small; name: too long and 3 more`. */
export function describeIssues(issues: readonly SchemaIssue[]): string {
  const spelled = issues.slice(0, SPELLED_MAX).map(describeIssue).join('; ')
  return issues.length > SPELLED_MAX ? `${spelled} and ${issues.length - SPELLED_MAX} more` : spelled
}

function describeIssue({ path, message }: SchemaIssue): string {
  return path.length === 0 ? message : `${path.join('.')}: ${message}`
}

function toKey(segment: PropertyKey | { readonly key: PropertyKey }): string | number {
  const key = typeof segment === 'object' ? segment.key : segment
  return typeof key === 'symbol' ? String(key) : key
}

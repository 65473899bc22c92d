import { describeValue } from './describe-value.js'
import { RkllmError, invalidRequest } from './error.js'
import type { OptionRule } from './option-rule.js'
import type { OptionTable } from './options.js'
import { suggestion } from './suggestion.js'

/**
 * A copy of `options` with nothing in it that `table` does not allow, and nothing undefined.
 *
 * A copy, because the checked values must be the ones that are used: the caller's object may
 * change, or compute its properties. `within` goes before their names in messages: `image.`.
 */
export function checkOptions<Options extends object>(
  table: OptionTable,
  options: Options | undefined,
  within = '',
): Options {
  if (options === undefined) return {} as Options
  if (typeof options !== 'object' || options === null || Array.isArray(options)) {
    throw invalidRequest(`options must be an object, got ${describeValue(options)}`)
  }
  const checked: Record<string, unknown> = {}
  for (const [name, value] of Object.entries(options)) {
    const rule = Object.hasOwn(table, name) ? table[name] : undefined
    if (rule === undefined) throw unknownOption(name, table, within)
    if (value === undefined) continue
    checkValue(`${within}${name}`, value, rule)
    checked[name] = value
  }
  return checked as Options
}

function checkValue(name: string, value: unknown, rule: OptionRule): void {
  if (!rule.accepts(value)) {
    throw invalidRequest(`${name} must be ${rule.expected}, got ${describeValue(value)}`, { option: name })
  }
  if (rule.limit?.allows(value) === false) {
    const exception = rule.limit.expected === undefined ? '' : ` except ${rule.limit.expected}`
    const message = `${name} is not supported by this version${exception}`
    throw new RkllmError('unsupported', message, { details: { option: name } })
  }
}

function unknownOption(name: string, table: OptionTable, within: string): RkllmError {
  const meant = suggestion(name, Object.keys(table))
  const hint = meant === undefined ? '' : `; did you mean ${JSON.stringify(`${within}${meant}`)}?`
  const option = `${within}${name}`
  return invalidRequest(`unknown option ${JSON.stringify(option)}${hint}`, { option })
}

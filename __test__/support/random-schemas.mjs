// JSON Schemas by chance, of keywords that are enforced, and small enough that what fits one fits a context.

/** Random numbers from a seed (mulberry32). */
export function chances(seed) {
  let state = seed >>> 0
  const next = () => {
    state = (state + 0x6d2b79f5) >>> 0
    let mixed = state
    mixed = Math.imul(mixed ^ (mixed >>> 15), mixed | 1)
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61)
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32
  }
  const below = (count) => Math.floor(next() * count)
  return { next, below, one: (items) => items[below(items.length)], is: (share) => next() < share }
}

const NAMES = ['name', 'age', 'city', 'tags', 'size', 'ok', 'a b', 'größe', 'items', 'x"y', '$kind', 'note']
const WORDS = ['red', 'green', 'blue', 'Paris', '', 'a "quoted" one', 'line\nbreak', 'naïve', '日本', '😀', 'back\\slash']
const PATTERNS = ['^[a-z]{1,8}$', '^\\d{3}-\\d{2}$', '^(yes|no|maybe)$', '^[A-Z][\\w ]{0,6}\\.$', '^.{2,5}$', '^\\S{1,4}\\s\\S{1,4}$', '^#[0-9a-f]{6}$', '^\\p{Lu}\\p{Ll}{0,5}$']
const FORMATS = ['date', 'time', 'date-time', 'duration', 'email', 'hostname', 'ipv4', 'ipv6', 'uuid', 'uri']

/** A schema whose texts, lists and objects are all bounded. */
export function randomSchema(seed) {
  const by = chances(seed)
  const defs = by.is(0.3) ? { point: closed(by, 1), word: text(by) } : undefined
  const schema = any(by, 3, defs)
  const draft = by.is(0.2) ? { $schema: 'http://json-schema.org/draft-07/schema#' } : {}
  return { ...draft, ...(by.is(0.3) ? { title: 'made by chance' } : {}), ...schema, ...(defs === undefined ? {} : { $defs: defs }) }
}

function any(by, depth, defs) {
  const flat = [text, number, integer, choice, constant, () => ({ type: 'boolean' }), () => ({ type: 'null' }), several]
  if (defs !== undefined && by.is(0.2)) return { $ref: by.one(['#/$defs/point', '#/$defs/word']) }
  if (depth === 0 || by.is(0.3)) return by.one(flat)(by)
  return by.one([closed, closed, list, tuple, either, one, both])(by, depth - 1, defs)
}

function text(by) {
  const kind = by.below(4)
  if (kind === 0) return { type: 'string', pattern: by.one(PATTERNS) }
  if (kind === 1) return { type: 'string', format: by.one(FORMATS) }
  const minLength = by.below(4)
  return { type: 'string', minLength, maxLength: minLength + by.below(10) }
}

function number(by) {
  const low = Math.round((by.next() - 0.5) * 2000) / by.one([1, 10, 100])
  const high = low + by.one([0.5, 1, 10, 1234.5])
  const all = { minimum: low, exclusiveMinimum: low, maximum: high, exclusiveMaximum: high }
  const some = Object.entries(all).filter(() => by.is(0.4))
  return { type: 'number', ...Object.fromEntries(some), ...(by.is(0.15) ? { multipleOf: by.one([0.5, 0.01, 3]), minimum: undefined, maximum: undefined, exclusiveMinimum: undefined, exclusiveMaximum: undefined } : {}) }
}

function integer(by) {
  const minimum = by.below(2000) - 1000
  const bounds = { minimum, maximum: minimum + by.below(300), multipleOf: undefined }
  if (by.is(0.2)) return { type: 'integer', multipleOf: by.one([2, 5, 7, 100]) }
  return { type: 'integer', ...Object.fromEntries(Object.entries(bounds).filter(([, value]) => value !== undefined && by.is(0.6))) }
}

const choice = (by) => ({ enum: Array.from({ length: 1 + by.below(4) }, () => value(by)) })
const constant = (by) => ({ const: value(by) })
const several = (by) => ({ type: by.one([['string', 'null'], ['integer', 'boolean'], ['null', 'boolean', 'string']]), maxLength: 6 })

function value(by) {
  return by.one([by.one(WORDS), by.below(1000), -by.below(100) / 8, true, false, null, [by.below(5), by.one(WORDS)], { a: by.one(WORDS), b: [] }])
}

function closed(by, depth, defs) {
  const names = NAMES.filter(() => by.is(0.3)).slice(0, 4)
  const properties = Object.fromEntries(names.map((name) => [name, any(by, depth, defs)]))
  const required = names.filter(() => by.is(0.6))
  return { type: 'object', properties, ...(by.is(0.8) ? { required } : {}), additionalProperties: false }
}

function list(by, depth, defs) {
  const minItems = by.below(3)
  return { type: 'array', items: any(by, depth, defs), minItems, maxItems: minItems + by.below(3) }
}

function tuple(by, depth, defs) {
  const prefixItems = Array.from({ length: 1 + by.below(3) }, () => any(by, depth, defs))
  return { type: 'array', prefixItems, items: false, minItems: prefixItems.length }
}

const either = (by, depth, defs) => ({ anyOf: Array.from({ length: 1 + by.below(3) }, () => any(by, depth, defs)) })

/** Choices of different types, or told apart by a constant: only such can be held apart. */
function one(by, depth, defs) {
  if (by.is(0.5)) return { oneOf: [text(by), integer(by), { type: 'boolean' }, list(by, depth, defs)].filter((_, i) => i === 0 || by.is(0.5)) }
  const kinds = ['cat', 'dog', 'cow'].slice(0, 1 + by.below(3))
  const tagged = (kind) => ({
    type: 'object',
    properties: { kind: { const: kind }, [by.one(NAMES.slice(0, 6))]: any(by, depth, defs) },
    required: ['kind'],
    additionalProperties: false,
  })
  return { oneOf: kinds.map(tagged) }
}

function both(by, depth, defs) {
  if (by.is(0.5)) return { type: 'integer', allOf: [{ minimum: by.below(50) }, { maximum: 50 + by.below(50) }] }
  const named = (name) => ({ type: 'object', properties: { [name]: any(by, depth, defs) }, required: [name] })
  const properties = { first: true, second: true }
  return { allOf: [named('first'), named('second'), { type: 'object', properties, additionalProperties: false }] }
}

// What a JSON Schema means, by a validator that has nothing to do with the one that answers are held to.
import Ajv from 'ajv/dist/2020.js'
import addFormats from 'ajv-formats'

const ajv = new Ajv.default({ strict: false, allErrors: true, multipleOfPrecision: 9, validateFormats: true })
addFormats.default(ajv)

/** What is wrong with `value`, or nothing. */
export function wrongWith(schema, value) {
  // The draft is told by the keywords: of the older ones none is used that means something else today.
  const { $schema: _, ...plain } = typeof schema === 'boolean' ? { allOf: [schema] } : schema
  const validate = ajv.compile(plain)
  return validate(value) ? undefined : ajv.errorsText(validate.errors)
}

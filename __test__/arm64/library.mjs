/**
 * Opens a shared library that is no addon, as far as the loader of programs goes: every symbol it needs is found.
 */
const [file] = process.argv.slice(2)

try {
  process.dlopen({ exports: {} }, file)
  console.log('opened as an addon')
} catch (error) {
  // Node opened it and missed its registration; anything else is the loader's own refusal.
  console.log(/did not self-register/.test(error.message) ? 'opened' : error.message)
}

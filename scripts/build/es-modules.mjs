// `import` and `require()` must give the same classes, or `instanceof` lies. So the ES module of an entry point
// has no code of its own: it names again what the CommonJS one exports.
import { readFileSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import { inRepository } from '../repository.mjs'
import { exportsOf } from './addon-check.mjs'

/** The files of every entry point that package.json promises in both forms. */
export function entryPoints() {
  const { exports } = JSON.parse(readFileSync(inRepository('package.json'), 'utf8'))
  return Object.values(exports)
    .filter((entry) => entry.import && entry.require)
    .map((entry) => ({
      commonJs: entry.require.default,
      commonJsTypes: entry.require.types,
      esModule: entry.import.default,
      esModuleTypes: entry.import.types,
    }))
}

export async function writeEsModules() {
  for (const entry of entryPoints()) {
    const names = await exportsOf(inRepository(entry.commonJs))
    const commonJs = `./${path.basename(entry.commonJs)}`
    writeFileSync(inRepository(entry.esModule), esModule(commonJs, names))
    writeFileSync(inRepository(entry.esModuleTypes), `export * from '${commonJs}'\n`)
  }
}

function esModule(commonJs, names) {
  const lines = names.map((name) => `export const ${name} = library.${name}`)
  return [`import library from '${commonJs}'`, '', ...lines, ''].join('\n')
}

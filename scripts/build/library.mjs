// The TypeScript library: ts/ to dist/ as CommonJS, and beside each entry point its ES module.
import { rmSync } from 'node:fs'
import { elapsed, say } from '../command.mjs'
import { inRepository } from '../repository.mjs'
import { run } from '../run.mjs'
import { entryPoints, writeEsModules } from './es-modules.mjs'
import { forget, isFresh, remember } from './freshness.mjs'

const SOURCES = ['ts', 'tsconfig.json', 'package.json', 'index.d.ts', 'node_modules/.package-lock.json', 'scripts/build/es-modules.mjs']

/** Builds what changed; returns at once when nothing did. Needs the addon: it is asked for its exports. */
export async function buildLibrary() {
  if (isFresh('library', { settings: {}, sources: SOURCES, outputs: entryPoints().flatMap((entry) => Object.values(entry)) })) return

  const startedAt = Date.now()
  say('compiling ts/')
  forget('library')
  rmSync(inRepository('dist'), { recursive: true, force: true })
  await run(process.execPath, [inRepository('node_modules/typescript/bin/tsc'), '--project', 'tsconfig.json'])
  await writeEsModules()
  remember('library', {}, startedAt)
  say(`compiled ts/ in ${elapsed(startedAt)}`)
}

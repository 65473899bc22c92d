// A build is done when its addon is there, is new, links nothing that users may lack, and loads. An exit code
// of 0 says none of that.
import { Failure } from '../command.mjs'
import { read } from '../run.mjs'
import { findProgram } from '../setup/program.mjs'
import { modified } from './freshness.mjs'

// Slim container images have none of these.
const NOT_EVERYWHERE = /\[(lib(?:ssl|crypto|gomp|omp|stdc\+\+|c\+\+)\.[^\]]*)\]/g

export async function checkAddon(file, startedAt) {
  const written = modified(file)
  if (written === undefined) throw new Failure(`the build reported success but ${file} is not there`)
  // File systems round times down.
  if (written < startedAt - 1000) throw new Failure(`the build reported success but left ${file} as it was before`)
  await checkLibraries(file)
}

/** Loads a module in a process of its own and returns the names it exports. */
export async function exportsOf(file) {
  const script = 'process.stdout.write(JSON.stringify(Object.keys(require(process.argv[1]))))'
  const names = JSON.parse(await read(process.execPath, ['-e', script, file]))
  if (names.length === 0) throw new Failure(`${file} loads but exports nothing`)
  return names
}

async function checkLibraries(file) {
  if (!findProgram('readelf')) return
  const dynamic = await read('readelf', ['-d', file])
  const unwanted = Array.from(dynamic.matchAll(NOT_EVERYWHERE), ([, name]) => name)
  if (unwanted.length > 0) throw new Failure(`${file} needs ${unwanted.join(', ')}, which must be linked statically or left out`)
}

// The peers that benchmarks compare with. They are no dependencies of the package.
import { existsSync, readFileSync } from 'node:fs'

import { say } from '../command.mjs'
import { inRepository } from '../repository.mjs'
import { runNpm } from '../setup/npm.mjs'

const QUIET = ['--ignore-scripts', '--no-package-lock', '--no-audit', '--no-fund', '--loglevel=error']

/** Installs them where they are missing or of another version. */
export async function benchModules() {
  const { dependencies } = readManifest('bench/package.json')
  const missing = Object.entries(dependencies).filter(([name, version]) => installed(name) !== version)
  if (missing.length === 0) return
  say('installing what the benchmarks compare with')
  const folder = ['--prefix', inRepository('bench')]
  // Its prebuilt programs are optional dependencies, 700 MB for GPUs among them; one for this CPU is enough.
  await runNpm(['install', ...folder, '--omit=optional', ...QUIET])
  const { version } = readManifest('bench/node_modules/node-llama-cpp/package.json')
  const prebuilt = `@node-llama-cpp/${process.platform}-${process.arch}@${version}`
  await runNpm(['install', ...folder, '--no-save', '--omit=optional', ...QUIET, prebuilt])
}

function installed(name) {
  const manifest = `bench/node_modules/${name}/package.json`
  return existsSync(inRepository(manifest)) ? readManifest(manifest).version : undefined
}

function readManifest(file) {
  return JSON.parse(readFileSync(inRepository(file), 'utf8'))
}

// The development tools of package-lock.json: none of them ships, none of them has an install script.
import { statSync } from 'node:fs'
import { say } from '../command.mjs'
import { inRepository } from '../repository.mjs'
import { runNpm } from './npm.mjs'

/** Runs `npm ci` when node_modules is missing or older than the lock file. */
export async function nodeModules() {
  const installed = modified('node_modules/.package-lock.json')
  if (installed !== undefined && installed >= modified('package-lock.json')) return
  say('npm ci')
  await runNpm(['ci', '--include=dev', '--no-audit', '--no-fund', '--loglevel=error'])
}

function modified(file) {
  return statSync(inRepository(file), { throwIfNoEntry: false })?.mtimeMs
}

// npm run build: the addon for this machine, the stand-in for the NPU runtime and the library. `--package` builds the platform package.
import { parseArgs } from 'node:util'
import { buildAddon } from './build/addon.mjs'
import { buildLibrary } from './build/library.mjs'
import { buildPlatformPackage } from './build/platform-package.mjs'
import { buildStandin } from './build/standin.mjs'
import { command } from './command.mjs'
import { setup } from './setup.mjs'

/** Everything that tests and examples need. Returns at once when nothing changed. */
export async function build() {
  await buildToRun()
  await buildStandin()
}

/** Everything that running a model of llama.cpp from this repository needs. */
export async function buildToRun() {
  await buildAddon()
  await buildLibrary()
}

async function main(args) {
  const { values } = parseArgs({ args, options: { package: { type: 'boolean' } } })
  await setup()
  await (values.package ? buildPlatformPackage() : build())
}

await command(import.meta, main)

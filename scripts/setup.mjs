// Everything a build needs, brought to this machine once. The second time it only looks.
import { command } from './command.mjs'
import { nodeModules } from './setup/node-modules.mjs'
import { rust } from './setup/rust.mjs'
import { systemPackages } from './setup/system-packages.mjs'

export async function setup() {
  await systemPackages()
  rust()
  await nodeModules()
}

await command(import.meta, setup)

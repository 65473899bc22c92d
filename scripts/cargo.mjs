// npm run cargo -- <arguments>: cargo as the build runs it, so that the two share what they compile.
import { command } from './command.mjs'
import { environment } from './platforms.mjs'
import { runInPlace } from './run.mjs'
import { setup } from './setup.mjs'

async function main(args) {
  await setup()
  await runInPlace('cargo', args, { env: environment() })
}

await command(import.meta, main)

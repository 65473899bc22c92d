// npm run docs: writes docs/options.md from the tables that the code checks options against.
import { writeFileSync } from 'node:fs'
import { command, say } from './command.mjs'
import { optionsPage } from './docs/options-page.mjs'
import { environment } from './platforms.mjs'
import { inRepository } from './repository.mjs'
import { read } from './run.mjs'
import { setup } from './setup.mjs'

const EXAMPLE = ['run', '--release', '--quiet', '--package', 'rkllmjs-runtime', '--example', 'option_tables']

async function main() {
  await setup()
  const numbers = await read('cargo', EXAMPLE, { env: environment() })
  writeFileSync(inRepository('docs/options.md'), await optionsPage(numbers))
  say('wrote docs/options.md')
}

await command(import.meta, main)

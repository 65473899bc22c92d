// npm run lint: everything that can be said about the code without running it.
import { checkDependencies, installDependencyCheck } from './checks/dependencies.mjs'
import { checkClippy, checkFormat } from './checks/rust.mjs'
import { runSteps } from './checks/steps.mjs'
import { checkTypes } from './checks/types.mjs'
import { command } from './command.mjs'
import { setup } from './setup.mjs'

async function main() {
  const { ok } = await runSteps([
    { name: 'setup', run: setup },
    { name: 'format', run: checkFormat },
    { name: 'clippy', run: checkClippy },
    { name: 'types', run: checkTypes },
    { name: 'cargo-deny', run: installDependencyCheck },
    { name: 'dependencies', run: checkDependencies },
  ])
  if (!ok) process.exitCode = 1
}

await command(import.meta, main)

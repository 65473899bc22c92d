// npm run test:soak: the load and leak tests of __test__/soak, and others that have a long form, at full length.
// `npm test` runs them in short.
import { build } from './build.mjs'
import { testFiles, testNode } from './checks/node-tests.mjs'
import { runSteps } from './checks/steps.mjs'
import { command } from './command.mjs'
import { setup } from './setup.mjs'
import { bringValgrind } from './setup/valgrind.mjs'

/** Tests outside of __test__/soak that do more there. */
const LONG = ['__test__/isolate.test.mjs', '__test__/rkllm-traps.test.mjs']

async function main() {
  const total = await runSteps([
    { name: 'setup', run: setup },
    { name: 'valgrind', run: bringValgrind },
    { name: 'build', run: build },
    { name: 'soak', run: () => testNode([...testFiles('soak'), ...LONG], { RKLLMJS_SOAK: 'full' }) },
  ])
  process.stdout.write(`${total.passed} passed, ${total.failed} failed, ${total.skipped} skipped\n`)
  if (!total.ok) process.exitCode = 1
}

await command(import.meta, main)

// npm run test:arm64: builds the addon for linux-arm64 and tests it in an arm64 Node under an emulated Cortex-A76.
// `npm test` does the same where it was done before, and so takes seconds.
import { buildArm64 } from './arm64/build.mjs'
import { setupArm64 } from './arm64/setup.mjs'
import { testArm64 } from './arm64/test.mjs'
import { build } from './build.mjs'
import { runSteps } from './checks/steps.mjs'
import { command } from './command.mjs'
import { setup } from './setup.mjs'

async function main() {
  const total = await runSteps([
    { name: 'setup', run: setup },
    { name: 'build', run: build },
    { name: 'arm64 setup', run: setupArm64 },
    { name: 'arm64 build', run: buildArm64 },
    { name: 'arm64', run: testArm64 },
  ])
  process.stdout.write(`${total.passed} passed, ${total.failed} failed, ${total.skipped} skipped\n`)
  if (!total.ok) process.exitCode = 1
}

await command(import.meta, main)

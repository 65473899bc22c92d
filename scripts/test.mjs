// npm test: every check and every test. `npm test -- --only <step>` runs one step.
import { parseArgs } from 'node:util'
import { buildArm64 } from './arm64/build.mjs'
import { testArm64, whyNotArm64 } from './arm64/test.mjs'
import { build } from './build.mjs'
import { canCheckDependencies, checkDependencies } from './checks/dependencies.mjs'
import { checkGenerated } from './checks/generated.mjs'
import { testFiles, testNode } from './checks/node-tests.mjs'
import { checkClippy, checkFormat, testRust } from './checks/rust.mjs'
import { runSteps } from './checks/steps.mjs'
import { Failure, command, say } from './command.mjs'
import { setup } from './setup.mjs'

const PREPARATION = [
  { name: 'setup', run: setup },
  { name: 'build', run: build },
]

const STEPS = [
  { name: 'generated', run: checkGenerated },
  { name: 'format', run: checkFormat },
  { name: 'clippy', run: checkClippy },
  { name: 'rust', run: testRust },
  { name: 'node', run: () => testNode(testFiles('', ['arm64', 'hardware', 'packaging'])) },
  { name: 'packaging', run: () => testNode(testFiles('packaging')) },
  { name: 'arm64', run: arm64 },
  { name: 'dependencies', run: dependencies },
]

async function main(args) {
  const { values } = parseArgs({ args, options: { only: { type: 'string' } } })
  const total = await runSteps([...PREPARATION, ...chosen(values.only)])
  process.stdout.write(`${total.passed} passed, ${total.failed} failed, ${total.skipped} skipped\n`)
  if (!total.ok) process.exitCode = 1
}

function chosen(only) {
  if (only === undefined) return STEPS
  const step = STEPS.find(({ name }) => name === only)
  if (!step) throw new Failure(`no step ${only}; there are ${STEPS.map(({ name }) => name).join(', ')}`)
  return [step]
}

/**
 * Setting up and cross-building takes minutes and adds a foreign architecture to the system, so tests only do
 * again what `npm run test:arm64` did here before.
 */
async function arm64() {
  const reason = whyNotArm64()
  if (reason === undefined) {
    await buildArm64()
    return testArm64()
  }
  say(`skipped: ${reason}`)
  return { skipped: 1 }
}

/** Installing cargo-deny takes minutes, so tests only use it where it is; `npm run lint` installs it. */
async function dependencies() {
  if (canCheckDependencies()) return checkDependencies()
  say('skipped: cargo-deny is not installed; npm run lint installs it')
  return { skipped: 1 }
}

await command(import.meta, main)

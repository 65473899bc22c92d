// Everything that the arm64 build and its emulated run need, brought to this machine once.
import { Failure } from '../command.mjs'
import { hostPlatform } from '../platforms.mjs'
import { bringNode, hasNode } from './node.mjs'
import { ARM64 } from './platform.mjs'
import { bringTools, missingTools } from './tools.mjs'

export async function setupArm64() {
  if (isNative()) throw new Failure('this machine is arm64: npm test tests the addon on it, without emulation')
  await bringTools()
  await bringNode()
}

/** Whether this machine is what would be emulated. */
export function isNative() {
  return hostPlatform().name === ARM64.name
}

/** Whether there is nothing left to bring. */
export function isSetUp() {
  return missingTools().length === 0 && hasNode()
}

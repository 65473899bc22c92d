// The addon and the stand-ins for the NPU's runtime, cross-built.
import { existsSync } from 'node:fs'
import path from 'node:path'
import { buildPlatformPackage } from '../build/platform-package.mjs'
import { buildStandinLibraries, standinFolder } from '../build/standin.mjs'
import { elapsed, say } from '../command.mjs'
import { targetFolder } from '../platforms.mjs'
import { ARM64 } from './platform.mjs'

/** Whether it was built before, so that it takes seconds rather than minutes. A build that fails leaves it warm. */
export function isWarm() {
  return existsSync(path.join(targetFolder(ARM64), ARM64.triple, 'release/librkllmjs.so'))
}

/** Builds what changed. */
export async function buildArm64() {
  await buildPlatformPackage(ARM64)
  const startedAt = Date.now()
  say(`building the stand-in for ${ARM64.name}`)
  await buildStandinLibraries(ARM64, standinFolder(ARM64))
  say(`built it in ${elapsed(startedAt)}`)
}

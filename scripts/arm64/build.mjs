// The addon and the libraries beside it, cross-built.
import { existsSync } from 'node:fs'
import path from 'node:path'
import { checkAddon } from '../build/addon-check.mjs'
import { buildPlatformPackage } from '../build/platform-package.mjs'
import { elapsed, say } from '../command.mjs'
import { environment, targetFolder } from '../flavours.mjs'
import { run } from '../run.mjs'
import { ARM64, FLAVOUR, LIBRARIES } from './platform.mjs'

/** Whether it was built before, so that it takes seconds rather than minutes. A build that fails leaves it warm. */
export function isWarm() {
  return existsSync(path.join(targetFolder(FLAVOUR, ARM64), ARM64.triple, 'release/librkllmjs.so'))
}

/** Builds what changed. */
export async function buildArm64() {
  await buildPlatformPackage(FLAVOUR, ARM64)
  if (LIBRARIES.length > 0) await buildLibraries()
}

async function buildLibraries() {
  const startedAt = Date.now()
  const packages = LIBRARIES.flatMap(({ name }) => ['--package', name])
  await run('cargo', ['build', '--release', ...packages, '--lib'], { env: environment(FLAVOUR, ARM64) })
  // Cargo leaves what was fresh as it was, with its time.
  for (const { file } of LIBRARIES) await checkAddon(file, 0)
  say(`built ${LIBRARIES.map(({ file }) => path.basename(file)).join(', ')} in ${elapsed(startedAt)}`)
}

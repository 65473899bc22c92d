// A platform package, this machine's or another's: the addon, in npm/<platform>/, and the stand-in for the NPU runtime.
import { copyFileSync, rmSync } from 'node:fs'
import path from 'node:path'
import { Failure, elapsed, say } from '../command.mjs'
import { compiledFlavours, environment, hostPlatform, targetFolder } from '../platforms.mjs'
import { inRepository } from '../repository.mjs'
import { run } from '../run.mjs'
import { checkAddon, exportsOf } from './addon-check.mjs'
import { buildStandinLibraries } from './standin.mjs'

export async function buildPlatformPackage(platform = hostPlatform()) {
  const missing = platform.flavours.filter((name) => !compiledFlavours(platform).includes(name))
  if (missing.length > 0) throw new Failure(`this compiler miscompiles ${missing.join(', ')}: install clang-19, or GCC 13 or newer`)
  await buildPlatformAddon(platform)
  // Nobody waits for a stand-in: it is to be small.
  await buildStandinLibraries(platform, path.join(platform.folder, 'standin'), { flavours: 'least' })
}

async function buildPlatformAddon(platform) {
  const file = path.join(platform.folder, platform.node)
  const startedAt = Date.now()
  say(`building for ${platform.name}`)
  rmSync(file, { force: true })
  await run('cargo', ['build', '--release', '--package', 'rkllmjs', '--lib'], { env: environment(platform) })
  copyFileSync(path.join(targetFolder(platform), platform.triple, 'release/librkllmjs.so'), file)
  await checkAddon(file, startedAt)
  if (platform.isHost) await exportsOf(file)
  say(`built ${path.relative(inRepository(), file)} in ${elapsed(startedAt)}`)
}

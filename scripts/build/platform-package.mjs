// A platform package, this machine's or another's: one addon for each flavour, in npm/<platform>/, and the stand-in
// for the NPU runtime.
import { copyFileSync, rmSync } from 'node:fs'
import path from 'node:path'
import { elapsed, say } from '../command.mjs'
import { environment, hostPlatform, runnableFlavours, targetFolder } from '../flavours.mjs'
import { inRepository } from '../repository.mjs'
import { run } from '../run.mjs'
import { checkAddon, exportsOf } from './addon-check.mjs'
import { buildStandinLibraries } from './standin.mjs'

/** Builds one flavour by name, or `all` of them. */
export async function buildPlatformPackage(wanted, platform = hostPlatform()) {
  const names = wanted === 'all' ? platform.flavours.map(({ name }) => name) : [wanted]
  const environments = names.map((name) => [name, environment(name, platform)])
  for (const [name, env] of environments) await buildFlavour(name, env, platform)
  // One build of the stand-in is enough, and so it is the one that runs on every CPU.
  const least = platform.flavours.at(-1).name
  if (names.includes(least)) await buildStandinLibraries(least, platform, path.join(platform.folder, 'standin'))
}

async function buildFlavour(name, env, platform) {
  const file = path.join(platform.folder, `rkllmjs.${name}.node`)
  const startedAt = Date.now()
  say(`building flavour ${name} for ${platform.name}`)
  rmSync(file, { force: true })
  await run('cargo', ['build', '--release', '--package', 'rkllmjs', '--lib'], { env })
  copyFileSync(path.join(targetFolder(name, platform), platform.triple, 'release/librkllmjs.so'), file)
  await checkAddon(file, startedAt)
  if (platform.isHost && runnableFlavours().includes(name)) await exportsOf(file)
  else say(`this CPU does not run ${name}: built, not loaded`)
  say(`built ${path.relative(inRepository(), file)} in ${elapsed(startedAt)}`)
}

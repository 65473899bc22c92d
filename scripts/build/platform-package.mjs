// The platform package of this machine: one addon for each flavour, in npm/<platform>/.
import { copyFileSync, rmSync } from 'node:fs'
import path from 'node:path'
import { elapsed, say } from '../command.mjs'
import { environment, hostPlatform, runnableFlavours } from '../flavours.mjs'
import { inRepository } from '../repository.mjs'
import { run } from '../run.mjs'
import { checkAddon, exportsOf } from './addon-check.mjs'

/** Builds one flavour by name, or `all` of them. */
export async function buildPlatformPackage(wanted) {
  const names = wanted === 'all' ? hostPlatform().flavours.map(({ name }) => name) : [wanted]
  const environments = names.map((name) => [name, environment(name)])
  for (const [name, env] of environments) await buildFlavour(name, env)
}

async function buildFlavour(name, env) {
  const { folder, triple } = hostPlatform()
  const file = path.join(folder, `rkllmjs.${name}.node`)
  const startedAt = Date.now()
  say(`building flavour ${name}`)
  rmSync(file, { force: true })
  await run('cargo', ['build', '--release', '--package', 'rkllmjs', '--lib'], { env })
  copyFileSync(inRepository('target', name, triple, 'release/librkllmjs.so'), file)
  await checkAddon(file, startedAt)
  if (runnableFlavours().includes(name)) await exportsOf(file)
  else say(`this CPU does not run ${name}: built, not loaded`)
  say(`built ${path.relative(inRepository(), file)} in ${elapsed(startedAt)}`)
}

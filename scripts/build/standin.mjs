// The stand-in for the NPU's runtime: one library for each of the runtime's interfaces, and a model for them.
import { copyFileSync, mkdirSync, rmSync } from 'node:fs'
import path from 'node:path'
import { elapsed, say } from '../command.mjs'
import { environment, hostPlatform, targetFolder } from '../platforms.mjs'
import { inRepository } from '../repository.mjs'
import { run } from '../run.mjs'
import { checkAddon } from './addon-check.mjs'
import { forget, isFresh, remember } from './freshness.mjs'

/** The cargo package of each library and its file. */
export const STANDINS = [
  { name: 'rkllmjs-rkllm-standin-v12', library: 'librkllmrt_standin_12.so' },
  { name: 'rkllmjs-rkllm-standin-v13', library: 'librkllmrt_standin_13.so' },
]

/** What is shipped in the package itself: the same on every platform. */
export const MODEL_FILES = ['rkllmjs-tiny.rkllm', 'tokenizer.json', 'tokenizer_config.json', 'config.json'].map((name) => `standin/model/${name}`)

const [MODEL, ...COMPANIONS] = MODEL_FILES
const GGUF = 'models/tiny/rkllmjs-tiny-q8_0.gguf'
const SOURCES = ['Cargo.toml', 'Cargo.lock', 'crates', 'models/tiny', 'scripts/build/standin.mjs']

/** Where `rkllmjs/standin` looks for a platform's libraries in a checkout. */
export function standinFolder({ binary }) {
  return inRepository('standin', binary)
}

/** The libraries for this machine and the model. Returns at once when nothing changed. */
export async function buildStandin() {
  const platform = hostPlatform()
  const env = environment()
  const folder = standinFolder(platform)
  const libraries = STANDINS.map(({ library }) => path.relative(inRepository(), path.join(folder, library)))
  const outputs = [...libraries, ...MODEL_FILES]
  if (isFresh('standin', { settings: env, sources: SOURCES, outputs })) return

  const startedAt = Date.now()
  say('building the stand-in for the NPU runtime')
  forget('standin')
  await buildStandinLibraries(platform, folder)
  await buildModel(env)
  remember('standin', env, startedAt)
  say(`built the stand-in in ${elapsed(startedAt)}`)
}

/** The libraries for a platform, put into a folder; with code for all levels of CPU, or only for the least. */
export async function buildStandinLibraries(platform, folder, { flavours = 'all' } = {}) {
  const packages = STANDINS.flatMap(({ name }) => ['--package', name])
  const features = flavours === 'least' ? STANDINS.flatMap(({ name }) => ['--features', `${name}/least-flavour`]) : []
  await run('cargo', ['build', '--release', ...packages, '--lib', ...features], { env: environment(platform) })
  const startedAt = Date.now()
  for (const { library } of STANDINS) {
    const file = path.join(folder, library)
    place(path.join(targetFolder(platform), platform.triple, 'release', library), file)
    await checkAddon(file, startedAt)
  }
}

async function buildModel(env) {
  mkdirSync(path.dirname(inRepository(MODEL)), { recursive: true })
  const program = ['run', '--release', '--quiet', '--package', 'rkllmjs-rkllm-standin', '--bin', 'standin-model', '--']
  rmSync(inRepository(MODEL), { force: true })
  await run('cargo', [...program, inRepository(GGUF), inRepository(MODEL)], { env })
  for (const file of COMPANIONS) place(inRepository('models/tiny', path.basename(file)), inRepository(file))
}

/** A new file: who has the old one open keeps it as it was. */
function place(from, to) {
  mkdirSync(path.dirname(to), { recursive: true })
  rmSync(to, { force: true })
  copyFileSync(from, to)
}

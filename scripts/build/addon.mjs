// The addon for this machine: rkllmjs.<platform>.node in the repository's root, with napi's loader and types.
import { rmSync } from 'node:fs'
import { Failure, elapsed, say } from '../command.mjs'
import { environment, hostPlatform } from '../platforms.mjs'
import { inRepository } from '../repository.mjs'
import { run } from '../run.mjs'
import { checkAddon, exportsOf } from './addon-check.mjs'
import { forget, isFresh, remember } from './freshness.mjs'

const SOURCES = ['Cargo.toml', 'Cargo.lock', 'build.rs', 'package.json', 'src', 'crates']
const GPUS = ['cuda', 'metal', 'vulkan']
const LOADER = ['index.js', 'index.d.ts']

/** Builds what changed; returns at once when nothing did. */
export async function buildAddon() {
  const { node, triple } = hostPlatform()
  const gpu = wantedGpu()
  const env = environment()
  const settings = gpu ? { ...env, gpu } : env
  if (isFresh('addon', { settings, sources: SOURCES, outputs: [node, ...LOADER] })) return

  say(`building the addon${gpu ? ` for ${gpu}` : ''} for ${env.RKLLMJS_FLAVOURS.replaceAll(' ', ', ')} (the first time takes some minutes)`)
  forget('addon')
  rmSync(inRepository(node), { force: true })
  // May write Cargo.lock; after it the network is not needed, also not by what reads the whole dependency tree.
  await run('cargo', ['fetch'], { env })
  const startedAt = Date.now()
  await run(process.execPath, [inRepository('node_modules/@napi-rs/cli/dist/cli.js'), ...napiArguments(triple, gpu)], { env })
  await checkAddon(inRepository(node), startedAt)
  await exportsOf(inRepository(node))
  await exportsOf(inRepository('index.js'))
  remember('addon', settings, startedAt)
  say(`built ${node} in ${elapsed(startedAt)}`)
}

/** What RKLLMJS_GPU asks for: the addon is built for the CPU alone unless it names a kind of GPU. */
function wantedGpu() {
  const gpu = process.env.RKLLMJS_GPU
  if (!gpu || GPUS.includes(gpu)) return gpu || undefined
  throw new Failure(`RKLLMJS_GPU must be one of ${GPUS.join(', ')}, got ${gpu}`)
}

function napiArguments(triple, gpu) {
  const features = gpu ? ['--features', gpu] : []
  return ['build', '--platform', '--release', '--target', triple, '--js', LOADER[0], '--dts', LOADER[1], ...features]
}

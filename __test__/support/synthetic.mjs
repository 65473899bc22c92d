// Synthetic model files, made once by crates/synthetic and kept in .cache/.
import { spawnSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { existsSync, mkdirSync, readFileSync, readdirSync, renameSync, rmSync } from 'node:fs'
import path from 'node:path'
import { fileURLToPath } from 'node:url'

const root = fileURLToPath(new URL('../..', import.meta.url))
const generator = path.join(root, 'crates/synthetic/src')

/** A model of one kind with random weights, for example `syntheticModel('tiny', '--context', '8192')`. */
export function syntheticModel(kind, ...flags) {
  const name = [kind, ...flags.map((flag) => flag.replace(/^--/, ''))].join('-')
  return made(`${name}.gguf`, (out) => [kind, out, ...flags])
}

/** The folder of the malformed files derived from `base`; its index.tsv says what each one is. */
export function corpus(base) {
  return made(`corpus-of-${path.basename(base, '.gguf')}`, (out) => ['corpus', out, '--base', base])
}

/** What is in the cache already, or what the generator writes to a place that is renamed when it is complete. */
function made(name, command) {
  const folder = path.join(root, '.cache/synthetic', generatorHash())
  const out = path.join(folder, name)
  if (existsSync(out)) return out
  mkdirSync(folder, { recursive: true })
  const unfinished = `${out}.${process.pid}`
  generate(command(unfinished))
  // Another test file may have made the same in the meantime.
  if (existsSync(out)) rmSync(unfinished, { recursive: true })
  else renameSync(unfinished, out)
  return out
}

function generate(args) {
  const cargo = ['run', '--quiet', '--release', '-p', 'rkllmjs-synthetic', '--', ...args]
  const { status, stderr } = spawnSync(process.execPath, [path.join(root, 'scripts/cargo.mjs'), ...cargo], { encoding: 'utf8' })
  if (status !== 0) throw new Error(`the synthetic model was not made: ${stderr}`)
}

/** Files made by another version of the generator are not used. */
function generatorHash() {
  const hash = createHash('sha256')
  const files = readdirSync(generator, { recursive: true, withFileTypes: true }).filter((entry) => entry.isFile())
  for (const file of files.map(({ parentPath, name }) => path.join(parentPath, name)).sort()) hash.update(readFileSync(file))
  return hash.digest('hex').slice(0, 12)
}

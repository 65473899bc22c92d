// Models to time: the bundled one, and random weights in known shapes, whose speed does not depend on their values.
import { existsSync, mkdirSync, renameSync } from 'node:fs'

import { Failure, say } from '../command.mjs'
import { environment } from '../platforms.mjs'
import { inRepository } from '../repository.mjs'
import { run } from '../run.mjs'

/** How each shape is stored. */
const TYPES = { '360m': 'q8_0', '1b': 'q4_0' }

/** The file of a model, made where it is missing. */
export async function benchModel(name) {
  if (name === 'tiny') return inRepository('models/tiny/rkllmjs-tiny-q8_0.gguf')
  const type = TYPES[name]
  if (type === undefined) throw new Failure(`no file and no model ${name}; there are tiny, ${Object.keys(TYPES).join(', ')}`, 2)
  const folder = inRepository('.cache/bench')
  const file = `${folder}/${name}-${type}.gguf`
  if (existsSync(file)) return file
  say(`making ${name} with random weights`)
  mkdirSync(folder, { recursive: true })
  const program = ['run', '--release', '--quiet', '--package', 'rkllmjs-synthetic', '--bin', 'synthetic-model', '--']
  await run('cargo', [...program, name, `${file}.part`, '--type', type], { env: environment() })
  renameSync(`${file}.part`, file)
  return file
}

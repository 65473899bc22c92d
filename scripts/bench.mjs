// npm run bench -- [360m|1b|tiny|<file>] [options of bench/compare.mjs]: us beside our peers, on one model, in turns.
import { existsSync } from 'node:fs'
import path from 'node:path'

import { benchModules } from './bench/modules.mjs'
import { benchModel } from './bench/models.mjs'
import { buildLimit } from './bench/limit.mjs'
import { buildToRun } from './build.mjs'
import { command } from './command.mjs'
import { inRepository } from './repository.mjs'
import { runInPlace } from './run.mjs'
import { setup } from './setup.mjs'

async function main(args) {
  const [first = '360m'] = args
  const named = first.startsWith('--') ? undefined : first
  const rest = named === undefined ? args : args.slice(1)
  await setup()
  await buildToRun()
  await benchModules()
  const limit = await buildLimit()
  const model = named !== undefined && existsSync(named) ? path.resolve(named) : await benchModel(named ?? '360m')
  await runInPlace(process.execPath, [inRepository('bench/compare.mjs'), '--model', model, ...rest], {
    env: { RKLLMJS_LIMIT: limit },
  })
}

await command(import.meta, main)

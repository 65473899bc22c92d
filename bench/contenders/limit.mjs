import { access } from 'node:fs/promises'

import { startWorker } from './worker.mjs'

export const name = 'limit'

/** Built by `npm run bench`, which says where it is. */
const program = process.env.RKLLMJS_LIMIT

export async function find() {
  if (program === undefined) throw new Error('RKLLMJS_LIMIT names no program; npm run bench builds one')
  await access(program)
  return 'llama.cpp of this build, in a bare loop'
}

export const start = ({ context, sequences, ...config }) =>
  startWorker(program, [], { ...config, cells: context * sequences, sequences, layout: 'separate' })

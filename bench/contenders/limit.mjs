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

export async function start({ context, sequences, ...config }) {
  const frame = await chatFrame(config.model)
  const session = await startWorker(program, [], { ...config, cells: context * sequences, sequences, layout: 'separate' })
  const run = ({ prompts, way, ...request }) =>
    session.run({ ...request, prompts: way === 'chat' ? prompts.map((prompt) => frame.join(prompt)) : prompts })
  return { ...session, run }
}

/** What chat() puts before and after one message: the limit has no templates, and is to compute as many tokens. */
async function chatFrame(path) {
  const { loadModel } = await import('../../dist/index.mjs')
  const model = await loadModel(path, { contextSize: 256, maxSequences: 1 })
  try {
    const frame = model.applyChatTemplate([{ role: 'user', content: 'MESSAGE' }]).split('MESSAGE')
    if (frame.length !== 2) throw new Error('the chat template does not hold its message once')
    return frame
  } finally {
    await model.close()
  }
}

import { readFile } from 'node:fs/promises'
import { fileURLToPath } from 'node:url'

import { startWorker } from './worker.mjs'

const WORKER = fileURLToPath(new URL('../workers/node-llama-cpp.mjs', import.meta.url))

export const name = 'node-llama-cpp'

export async function find() {
  const manifest = new URL('../node_modules/node-llama-cpp/package.json', import.meta.url)
  return JSON.parse(await readFile(manifest, 'utf8')).version
}

/** With flash attention, which is not its default and is the faster of the two. */
export const start = (config) => startWorker(process.execPath, [WORKER], { ...config, flashAttention: true })

export const cold = {
  command: process.execPath,
  args: [fileURLToPath(new URL('../workers/cold-node-llama-cpp.mjs', import.meta.url))],
}

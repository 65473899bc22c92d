import { fileURLToPath } from 'node:url'

import { startWorker } from './worker.mjs'

const WORKER = fileURLToPath(new URL('../workers/rkllmjs.mjs', import.meta.url))

export const name = 'rkllmjs'

export async function find() {
  const { version } = await import('../../dist/index.mjs')
  return version
}

export const start = (config) => startWorker(process.execPath, [WORKER], config)

/** A program that loads the model, prints the first token and ends. */
export const cold = { command: process.execPath, args: [fileURLToPath(new URL('../workers/cold-rkllmjs.mjs', import.meta.url))] }

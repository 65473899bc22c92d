// Runs programs in an arm64 Node under an emulated CPU.
import assert from 'node:assert/strict'

import { emulatedNode } from '../../scripts/arm64/emulator.mjs'
import { ADDON } from '../../scripts/arm64/platform.mjs'
import { run } from '../processes/run.mjs'

/** Emulation is some tens of times slower than the machine; a hang is its known way to fail. */
const HANG_MS = 120_000

/** RK3588's large cores: the dot product and half floats. */
export const CORTEX_A76 = 'cortex-a76'

/** RK3576's large cores: neither. */
export const CORTEX_A72 = 'cortex-a72'

/** Like `run`, with the cross-built addon; `program` may lie outside of `processes/`. `variables` go to its environment. */
export function runEmulated(cpu, program, args = [], variables = {}) {
  const env = { ...process.env, ...variables, NAPI_RS_NATIVE_LIBRARY_PATH: ADDON }
  return run(program, args, { node: emulatedNode(cpu), limitMs: HANG_MS, env })
}

/** What a program printed as its last line, as JSON; it must have ended well. */
export async function report(running) {
  const { end, stdout, stderr } = await running
  assert.equal(end, 'exit 0', stderr)
  return JSON.parse(stdout.trimEnd().split('\n').at(-1))
}

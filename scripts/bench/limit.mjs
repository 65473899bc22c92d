// The bare loop that benchmarks are held to: crates/llama/benches/limit.rs.
import path from 'node:path'

import { environment, hostPlatform, targetFolder } from '../platforms.mjs'
import { run } from '../run.mjs'

/** Builds it from the same llama.cpp as the addon, and resolves to the program. */
export async function buildLimit() {
  const args = ['build', '--release', '--quiet', '--package', 'rkllmjs-llama', '--example', 'limit']
  await run('cargo', args, { env: environment() })
  return path.join(targetFolder(), hostPlatform().triple, 'release/examples/limit')
}

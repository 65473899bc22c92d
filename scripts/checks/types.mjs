// ts/ against index.d.ts, without writing anything.
import { inRepository } from '../repository.mjs'
import { run } from '../run.mjs'

export async function checkTypes() {
  await run(process.execPath, [inRepository('node_modules/typescript/bin/tsc'), '--project', 'tsconfig.json', '--noEmit'])
}

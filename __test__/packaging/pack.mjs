// The package as npm would publish it.
import { execFileSync } from 'node:child_process'
import { mkdirSync } from 'node:fs'
import path from 'node:path'
import { fileURLToPath } from 'node:url'

export const root = fileURLToPath(new URL('../../', import.meta.url))

/** What `npm pack --json` says of the package: its files and sizes. With a folder, also writes the archive there. */
export function pack(folder) {
  const args = folder ? ['--pack-destination', folder] : ['--dry-run']
  const output = npm(['pack', '--json', '--ignore-scripts', ...args])
  const answer = JSON.parse(output)
  // npm 12 answers with an object by package name, older ones with a list.
  return Array.isArray(answer) ? answer[0] : Object.values(answer)[0]
}

/** Unpacks the package into `<folder>/node_modules/rkllmjs`, as an installation would. */
export function install(folder) {
  const { filename } = pack(folder)
  const target = path.join(folder, 'node_modules/rkllmjs')
  mkdirSync(target, { recursive: true })
  execFileSync('tar', ['-xzf', path.join(folder, filename), '-C', target, '--strip-components=1'])
  return target
}

function npm(args) {
  const options = { cwd: root, encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'] }
  const { npm_execpath: cli } = process.env
  return cli ? execFileSync(process.execPath, [cli, ...args], options) : execFileSync('npm', args, options)
}

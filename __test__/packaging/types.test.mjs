// The types, as a strict project that installed the package sees them.
import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { cpSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { after, before, describe, it } from 'node:test'
import { fileURLToPath } from 'node:url'
import { install, root } from './pack.mjs'

const modules = path.join(root, 'node_modules')
const consumer = fileURLToPath(new URL('consumer/', import.meta.url))

describe('a strict TypeScript project', () => {
  let folder

  before(() => {
    folder = mkdtempSync(path.join(tmpdir(), 'rkllmjs-consumer-'))
    install(folder)
    for (const name of ['@types', 'undici-types']) symlinkSync(path.join(modules, name), path.join(folder, 'node_modules', name))
    writeFileSync(path.join(folder, 'package.json'), '{ "private": true }')
    cpSync(consumer, folder, { recursive: true })
  })

  after(() => rmSync(folder, { recursive: true, force: true }))

  for (const resolution of ['node16', 'nodenext', 'bundler']) {
    it(`compiles against the package with ${resolution} resolution`, () => {
      const module = resolution === 'bundler' ? 'preserve' : resolution
      const args = ['--project', folder, '--module', module, '--moduleResolution', resolution]
      const { status, stdout } = spawnSync(process.execPath, [path.join(modules, 'typescript/bin/tsc'), ...args], { encoding: 'utf8' })
      assert.equal(status, 0, stdout)
    })
  }
})

describe('the checkers of published packages', () => {
  it('publint finds nothing', async () => {
    const { publint } = await import('publint')
    const { formatMessage } = await import('publint/utils')
    const { messages, pkg } = await publint({ pkgDir: root, level: 'suggestion', strict: true, pack: 'npm' })
    assert.deepEqual(messages.map((message) => formatMessage(message, pkg, { color: false })), [])
  })

  it('are the types wrong? finds nothing', () => {
    const cli = path.join(modules, '@arethetypeswrong/cli/dist/index.js')
    const args = [cli, '--pack', root, '--profile', 'node16', '--format', 'ascii', '--no-emoji', '--no-color']
    const { status, stdout, stderr } = spawnSync(process.execPath, args, { cwd: root, encoding: 'utf8' })
    assert.equal(status, 0, `${stdout}${stderr}`)
  })
})

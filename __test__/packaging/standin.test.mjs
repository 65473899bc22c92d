// `rkllmjs/standin` where the package is installed: its libraries come with the package of the platform.
import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { mkdirSync, mkdtempSync, realpathSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { after, before, describe, it } from 'node:test'
import { STANDINS } from '../../scripts/build/standin.mjs'
import { hostPlatform } from '../../scripts/platforms.mjs'
import { install } from './pack.mjs'

describe('an installed package', () => {
  let folder

  before(() => {
    folder = realpathSync(mkdtempSync(path.join(tmpdir(), 'rkllmjs-installed-')))
    install(folder)
  })

  after(() => rmSync(folder, { recursive: true, force: true }))

  /** What an expression over the subpath's exports gives there; of an error, its code and message. */
  const evaluated = (expression) => {
    const program = `
      const standin = require('rkllmjs/standin')
      const said = () => { try { return ${expression} } catch ({ code, message }) { return { code, message } } }
      process.stdout.write(JSON.stringify(said()))`
    return JSON.parse(execFileSync(process.execPath, ['-e', program], { cwd: folder, encoding: 'utf8' }))
  }

  it('has the model', () => {
    assert.equal(evaluated('standin.standinModelPath()'), path.join(folder, 'node_modules/rkllmjs/standin/model/rkllmjs-tiny.rkllm'))
  })

  it('says what to do where the package of the platform is missing', () => {
    const { code, message } = evaluated("standin.standinLibrary('1.2')")
    assert.equal(code, 'library-unavailable')
    assert.match(message, /--omit=optional/)
  })

  it('finds the libraries of the package of the platform', () => {
    const platform = path.join(folder, 'node_modules', `rkllmjs-${hostPlatform().binary}`)
    mkdirSync(path.join(platform, 'standin'), { recursive: true })
    writeFileSync(path.join(platform, 'package.json'), '{}')
    const files = STANDINS.map(({ library }) => path.join(platform, 'standin', library))
    for (const file of files) writeFileSync(file, '')
    assert.deepEqual(evaluated("['1.2', '1.3'].map(standin.standinLibrary)"), files)
  })
})

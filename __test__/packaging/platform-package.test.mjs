// The platform packages: which flavour of the addon each CPU gets.
import assert from 'node:assert/strict'
import { cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { describe, it } from 'node:test'
import { fileURLToPath } from 'node:url'
import { ARM64, X64 } from './cpu-lines.mjs'

const require = createRequire(import.meta.url)
const npm = fileURLToPath(new URL('../../npm/', import.meta.url))

for (const [platform, machines] of [['linux-x64-gnu', X64], ['linux-arm64-gnu', ARM64]]) {
  const { featuresOf, lacking, runnable } = require(`${npm}${platform}/pick.js`)
  const flavours = require(`${npm}${platform}/flavours.json`)

  describe(platform, () => {
    for (const [machine, { flavour, cpuinfo }] of Object.entries(machines)) {
      it(`gives ${machine} ${flavour ?? 'nothing'}`, () => {
        const [best] = runnable(flavours, featuresOf(cpuinfo))
        assert.equal(best?.name, flavour)
      })
    }

    it('asks more of the CPU with every better flavour', () => {
      for (const [index, { needs }] of flavours.slice(1).entries()) {
        const better = new Set(flavours[index].needs)
        assert.ok(needs.every((name) => better.has(name)), `${flavours[index].name} includes ${flavours[index + 1].name}`)
      }
    })

    it('names what a CPU without features lacks', () => {
      assert.deepEqual(lacking(flavours, featuresOf('')), flavours.at(-1).needs)
    })
  })
}

describe('the loaders of the platform packages', () => {
  it('are the same code', () => {
    for (const file of ['index.js', 'pick.js']) {
      const [x64, arm64] = ['linux-x64-gnu', 'linux-arm64-gnu'].map((platform) => readFileSync(`${npm}${platform}/${file}`, 'utf8'))
      assert.equal(x64, arm64)
    }
  })

  it('ship at the version of the package', () => {
    const { version } = require('../../package.json')
    for (const platform of ['linux-x64-gnu', 'linux-arm64-gnu']) {
      assert.equal(require(`${npm}${platform}/package.json`).version, version)
    }
  })

  it('ship the stand-ins, whichever flavour is loaded', () => {
    for (const platform of ['linux-x64-gnu', 'linux-arm64-gnu']) {
      assert.ok(require(`${npm}${platform}/package.json`).files.includes('standin'))
    }
  })

  it('fall through every flavour that does not load and say why each did not', { skip: process.platform !== 'linux' }, () => {
    const folder = mkdtempSync(path.join(tmpdir(), 'rkllmjs-platform-'))
    try {
      for (const file of ['index.js', 'pick.js']) cpSync(`${npm}linux-x64-gnu/${file}`, path.join(folder, file))
      const flavours = [{ name: 'best', needs: [] }, { name: 'good', needs: [] }, { name: 'least', needs: ['no-cpu-has-this'] }]
      writeFileSync(path.join(folder, 'flavours.json'), JSON.stringify(flavours))
      writeFileSync(path.join(folder, 'rkllmjs.best.node'), 'not an addon')
      assert.throws(() => require(path.join(folder, 'index.js')), (error) => {
        assert.match(error.message, /could not load/)
        assert.match(error.message, /best: .*rkllmjs\.best\.node/)
        assert.match(error.message, /good: Cannot find module/)
        assert.doesNotMatch(error.message, /least/)
        return true
      })
    } finally {
      rmSync(folder, { recursive: true })
    }
  })
})

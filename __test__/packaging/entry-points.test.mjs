// `import` and `require()` are two doors to one library.
import assert from 'node:assert/strict'
import { createRequire } from 'node:module'
import { describe, it } from 'node:test'

const require = createRequire(import.meta.url)
const { exports } = require('rkllmjs/package.json')

for (const [subpath, entry] of Object.entries(exports)) {
  if (!entry.import) continue
  const name = `rkllmjs${subpath.slice(1)}`

  describe(name, () => {
    it('gives the same objects to import and require()', async () => {
      const [required, imported] = [require(name), await import(name)]
      assert.deepEqual(Object.keys(imported).sort(), Object.keys(required).sort())
      for (const key of Object.keys(required)) assert.strictEqual(imported[key], required[key], key)
    })
  })
}

describe('rkllmjs', () => {
  it('has one LlamaModel and one RkllmError', async () => {
    const [required, imported] = [require('rkllmjs'), await import('rkllmjs')]
    for (const name of ['LlamaModel', 'RkllmError']) {
      assert.equal(typeof required[name], 'function', name)
      assert.strictEqual(imported[name], required[name])
    }
  })
})

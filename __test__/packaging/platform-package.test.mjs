// The platform packages: what npm installs beside rkllmjs.
import assert from 'node:assert/strict'
import { createRequire } from 'node:module'
import { describe, it } from 'node:test'
import { platformNamed } from '../../scripts/platforms.mjs'

const require = createRequire(import.meta.url)
const { version } = require('../../package.json')

for (const platform of ['linux-x64', 'linux-arm64'].map(platformNamed)) {
  describe(platform.binary, () => {
    const manifest = require(`../../npm/${platform.binary}/package.json`)

    it('is the addon', () => assert.equal(manifest.main, platform.node))

    it('ships the addon and the stand-ins', () => assert.deepEqual(manifest.files, ['standin', '*.node']))

    it('has the version of the package', () => assert.equal(manifest.version, version))
  })
}

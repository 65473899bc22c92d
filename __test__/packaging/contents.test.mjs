// What ships: everything a user needs and nothing else.
import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { existsSync, readFileSync, readdirSync, statSync } from 'node:fs'
import path from 'node:path'
import { describe, it } from 'node:test'
import { MODEL_FILES } from '../../scripts/build/standin.mjs'
import { pack, root } from './pack.mjs'

const MEGABYTE = 1024 * 1024
// With the library and its models, 8.5 MB, it is what people need, and that is to take less than 40 MB.
const ADDON = 22_500_000
const ALWAYS = ['package.json', 'index.js', 'index.d.ts', 'LICENSE-APACHE', 'LICENSE-MIT', 'models/tiny/README.md', 'models/tiny/rkllmjs-tiny-q8_0.gguf', ...MODEL_FILES]
// npm adds a README by itself; the other is in package.json's `files` from the first release on.
const WHERE_PRESENT = ['README.md', 'CHANGELOG.md']
const BUILT = /^dist\/.+\.(js|mjs|d\.ts|d\.mts)$/

describe('npm pack', () => {
  const packed = pack()
  const files = packed.files.map(({ path }) => path)

  it('holds exactly the library, its loader, the bundled model, that of the stand-in and the licences', () => {
    const expected = [...ALWAYS, ...WHERE_PRESENT.filter((file) => existsSync(path.join(root, file)))]
    assert.deepEqual(files.filter((file) => !BUILT.test(file)).sort(), expected.sort())
  })

  it('holds all of dist/', () => {
    const dist = readdirSync(path.join(root, 'dist'), { recursive: true, withFileTypes: true })
    const built = dist.filter((entry) => entry.isFile()).map((entry) => path.relative(root, path.join(entry.parentPath ?? entry.path, entry.name)))
    assert.deepEqual(files.filter((file) => file.startsWith('dist/')).sort(), built.sort())
  })

  it('is small', () => {
    assert.ok(packed.size < 10 * MEGABYTE, `packed ${packed.size} bytes`)
    assert.ok(packed.unpackedSize < 30 * MEGABYTE, `unpacked ${packed.unpackedSize} bytes`)
  })

  it('names no absolute path of the machine that built it', () => {
    for (const file of files.filter((file) => /\.(js|mjs|ts|mts|json)$/.test(file))) {
      assert.ok(!readFileSync(path.join(root, file), 'utf8').includes(root), `${file} names ${root}`)
    }
  })
})

describe('package.json', () => {
  const manifest = JSON.parse(readFileSync(path.join(root, 'package.json'), 'utf8'))

  it('brings no dependency and runs nothing at installation', () => {
    assert.equal(manifest.dependencies, undefined)
    for (const script of ['preinstall', 'install', 'postinstall', 'prepare']) assert.equal(manifest.scripts[script], undefined)
  })

  it('pins its development tools, none of which runs anything at installation', () => {
    for (const [name, version] of Object.entries(manifest.devDependencies)) assert.match(version, /^\d+\.\d+\.\d+$/, name)
    const { packages } = JSON.parse(readFileSync(path.join(root, 'package-lock.json'), 'utf8'))
    assert.deepEqual(Object.keys(packages).filter((name) => packages[name].hasInstallScript), [])
  })

  it('is consistent with Cargo.toml', () => {
    const cargo = readFileSync(path.join(root, 'Cargo.toml'), 'utf8')
    assert.equal(cargo.match(/^version = "(.+)"$/m)[1], manifest.version)
    assert.equal(cargo.match(/^license = "(.+)"$/m)[1], manifest.license)
  })
})

describe('the addon', { skip: process.platform !== 'linux' }, () => {
  const addon = readdirSync(root).find((name) => name.endsWith('.node'))

  it('is small', { skip: process.env.RKLLMJS_GPU && 'built for a GPU' }, () => {
    const { size } = statSync(path.join(root, addon))
    assert.ok(size <= ADDON, `${size} bytes are more than ${ADDON}`)
  })

  it('needs only what every Linux with glibc has', (test) => {
    let dynamic
    try {
      dynamic = execFileSync('readelf', ['-d', path.join(root, addon)], { encoding: 'utf8' })
    } catch (error) {
      if (error.code !== 'ENOENT') throw error
      return test.skip('readelf is not installed')
    }
    const needed = Array.from(dynamic.matchAll(/\(NEEDED\).*\[(.+)\]/g), ([, name]) => name)
    const everywhere = /^(libc|libm|libgcc_s|libpthread|libdl|librt|ld-linux-[\w-]+)\.so\.\d+$/
    assert.deepEqual(needed.filter((name) => !everywhere.test(name)), [])
  })
})

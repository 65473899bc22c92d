// What a machine can run, told by reading alone. The Rust tests have boards made of files; here is this machine.
import assert from 'node:assert/strict'
import { execFileSync, spawnSync } from 'node:child_process'
import { copyFileSync, existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import { fileURLToPath, pathToFileURL } from 'node:url'

import { bundledModelPath, diagnose, npuStatus, version } from '../dist/index.mjs'
import { environment } from '../scripts/platforms.mjs'

const root = fileURLToPath(new URL('..', import.meta.url))
const { CARGO_TARGET_DIR, CARGO_BUILD_TARGET } = environment()
const built = join(CARGO_TARGET_DIR, CARGO_BUILD_TARGET, 'release')
const hasNpu = existsSync('/sys/module/rknpu') || existsSync('/proc/rknpu')

let folder
let npuModel

/** A file of the test's folder. */
const file = (name, text) => {
  const path = join(folder, name)
  if (text !== undefined) writeFileSync(path, text)
  return path
}

function standIn() {
  const name = 'librkllmrt_standin_13.so'
  const path = [join(built, 'deps', name), join(built, name)].find(existsSync)
  assert.ok(path, `${name} is built by the Rust tests, which come first`)
  return path
}

before(() => {
  folder = mkdtempSync(join(tmpdir(), 'rkllmjs-diagnose-'))
  npuModel = file('tiny.rkllm')
  const wrap = ['run', '--release', '--quiet', '-p', 'rkllmjs-rkllm-standin', '--bin', 'standin-model', '--']
  const made = spawnSync(process.execPath, ['scripts/cargo.mjs', ...wrap, bundledModelPath(), npuModel], { cwd: root })
  assert.equal(made.status, 0, String(made.stderr))
  for (const name of ['tokenizer.json', 'tokenizer_config.json']) {
    copyFileSync(join(root, 'models/tiny', name), file(name))
  }
})

after(() => rmSync(folder, { recursive: true }))

describe('diagnose', () => {
  test('tells what the machine is and that its processor computes', async () => {
    const { system, devices } = await diagnose()
    assert.equal(system.node, process.version)
    assert.equal(system.arch, process.arch)
    assert.equal(system.package, version)
    assert.ok(system.memoryTotalBytes > system.memoryAvailableBytes && system.memoryAvailableBytes > 0)
    assert.ok(system.fastProcessors >= 1 && system.fastProcessors <= system.processors)
    assert.ok(system.kernel.length > 0 && system.cpuFeatures.length > 0 && system.cpuFlavour.length > 0)
    assert.equal(devices[0].kind, 'cpu')
    assert.deepEqual([devices[0].usable, devices[0].engine], [true, 'llama.cpp'])
  })

  test('names the engine of each model, in the order given, and what is in the way', async () => {
    const models = [bundledModelPath(), npuModel, file('absent.gguf'), file('notes.txt', 'some text')]
    const { files } = await diagnose({ models, libraryPath: standIn() })
    assert.deepEqual(
      files.map(({ path, engine, runs }) => ({ path, engine, runs })),
      [
        { path: models[0], engine: 'llama.cpp', runs: true },
        { path: models[1], engine: 'rkllm', runs: true },
        { path: models[2], engine: null, runs: false },
        { path: models[3], engine: null, runs: false },
      ],
    )
    assert.match(files[0].why, /first bytes are those of a GGUF model/)
    assert.ok(files[0].memory.neededBytes > files[0].sizeBytes)
    assert.equal(files[1].npu.tokenizer, file('tokenizer.json'))
    assert.match(files[2].missing[0], /absent\.gguf/)
    assert.match(files[3].missing[0], /notes\.txt/)
  })

  test('reads of a library what it is, and does not open it', async () => {
    const { runtime } = await diagnose({ libraryPath: pathToFileURL(standIn()) })
    const { version: found, abi, detectedBy, standIn: isStandIn, tried } = runtime
    assert.deepEqual({ found, abi, detectedBy, isStandIn, tried }, {
      found: '1.3.1',
      abi: '1.3',
      detectedBy: 'banner',
      isStandIn: true,
      tried: [],
    })
    const script = `const { diagnose } = require(${JSON.stringify(join(root, 'dist/index.js'))})
      diagnose({ libraryPath: ${JSON.stringify(standIn())} }).then(({ runtime }) => {
        const mapped = require('node:fs').readFileSync('/proc/self/maps', 'utf8')
        console.log(runtime.standIn, mapped.includes('standin'))
      })`
    assert.equal(execFileSync(process.execPath, ['-e', script], { encoding: 'utf8' }), 'true false\n')
  })

  test('takes a missing library for a fact, with where it looked and what helps', async () => {
    const libraryPath = file('librkllmrt.so')
    const { runtime, files, problems } = await diagnose({ models: [npuModel], libraryPath })
    assert.equal(runtime.path, null)
    assert.deepEqual(runtime.tried, [{ path: libraryPath, reason: 'does not exist', version: null }])
    assert.equal(files[0].runs, false)
    assert.equal(problems[0].severity, 'error')
    assert.match(problems[0].message, /no NPU runtime/)
    assert.match(problems[0].fix, /libraryPath/)
  })

  test('looks in the folder of the addon, then in those of the system', async () => {
    const script = `const { diagnose } = require(${JSON.stringify(join(root, 'dist/index.js'))})
      diagnose().then(({ runtime }) => console.log(JSON.stringify(runtime.tried.map(({ path }) => path))))`
    const look = (library) => {
      const env = { ...process.env, RKLLMJS_RKLLM_LIBRARY: library }
      return JSON.parse(execFileSync(process.execPath, ['-e', script], { env, encoding: 'utf8' }))
    }
    assert.deepEqual(look('/nowhere/librkllmrt.so'), ['/nowhere/librkllmrt.so'])
    if (!hasNpu) assert.equal(look('')[0], join(root, 'librkllmrt.so'))
  })

  test('knows of no NPU where there is none, and finds no fault in that', { skip: hasNpu && 'there is an NPU' }, async () => {
    const { soc, npu, clocks, devices, problems } = await diagnose({ models: [bundledModelPath()] })
    assert.equal(soc.value, null)
    assert.match(soc.reason, /device-tree/)
    assert.deepEqual([npu.driver.value, npu.usable.value, npu.nodes], [null, false, []])
    assert.deepEqual([clocks, devices.length, problems], [[], 1, []])
  })

  test('refuses what is of a wrong type, naming the option', async () => {
    for (const [options, option] of [
      [{ models: 'model.gguf' }, 'models'],
      [{ models: [1] }, 'models'],
      [{ models: [''] }, 'models'],
      [{ models: [new URL('https://example.com/model.gguf')] }, 'models'],
      [{ models: Array.from({ length: 257 }, () => 'model.gguf') }, 'models'],
      [{ libraryPath: 5 }, 'libraryPath'],
      [{ libraryPath: '' }, 'libraryPath'],
      [{ model: 'model.gguf' }, 'model'],
    ]) {
      await assert.rejects(diagnose(options), (error) => {
        assert.equal(error.code, 'invalid-request')
        assert.equal(error.details.option, option)
        assert.match(error.message, new RegExp(option))
        return true
      })
    }
    await assert.rejects(diagnose('model.gguf'), { code: 'invalid-request' })
  })

  test('looks at what could keep a reader waiting without waiting', async () => {
    const pipe = file('pipe.rkllm')
    execFileSync('mkfifo', [pipe])
    const { files } = await diagnose({ models: [pipe, '/dev/zero', folder, `${file('a')}\0b`] })
    assert.deepEqual(
      files.map(({ engine, runs }) => [engine, runs]),
      Array(4).fill([null, false]),
    )
  })
})

describe('npuStatus', () => {
  test('gives for every value either it or a reason', async () => {
    const status = await npuStatus()
    assert.equal(typeof status.usable.value, 'boolean')
    assert.equal(status.usable.reason === null, status.usable.value)
    const { usable, ...readings } = status
    assert.ok(Object.keys(readings).length >= 11)
    for (const [name, { value, reason }] of Object.entries(readings)) {
      assert.equal(value === null, typeof reason === 'string', name)
    }
  })
})

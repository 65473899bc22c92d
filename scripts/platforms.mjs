// A flavour is one build of the addon for one level of CPU. What a flavour asks of the CPU stands in the
// platform package's flavours.json, because the same table picks the flavour at load.
import { readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { compilerEnvironment, compilesAmx, findCompiler, findCrossCompiler } from './build/compiler.mjs'
import { crossEnvironment } from './build/cross.mjs'
import { Failure } from './command.mjs'
import { inRepository } from './repository.mjs'
import { findCrossRust } from './setup/cross-rust.mjs'

const require = createRequire(import.meta.url)

/** Where the addon runs today. `binary` is how napi-rs names the platform, `tools` how its cross compilers begin. */
const PLATFORMS = {
  'linux-x64': { binary: 'linux-x64-gnu', triple: 'x86_64-unknown-linux-gnu', tools: 'x86_64-linux-gnu' },
  'linux-arm64': { binary: 'linux-arm64-gnu', triple: 'aarch64-unknown-linux-gnu', tools: 'aarch64-linux-gnu' },
}

const SSE42 = { GGML_SSE42: true }
const AVX2 = { ...SSE42, GGML_AVX: true, GGML_AVX2: true, GGML_FMA: true, GGML_F16C: true, GGML_BMI2: true }
const AVX512 = { ...AVX2, GGML_AVX512: true, GGML_AVX512_VNNI: true }
const AMX = { ...AVX512, GGML_AVX512_BF16: true, GGML_AVX_VNNI: true, GGML_AMX_TILE: true, GGML_AMX_INT8: true, GGML_AMX_BF16: true }

/** ggml's switches of each x64 flavour; a switch not named is off. */
const X64 = { baseline: SSE42, avx2: AVX2, avx512: AVX512, amx: AMX }

/** The `-march` of ggml's CPU code in each arm64 flavour. */
const ARM64 = { baseline: 'armv8-a', dotprod: 'armv8.2-a+dotprod+fp16' }

const HOST = `${process.platform}-${process.arch}`

/** This machine's platform. */
export function hostPlatform() {
  return platformNamed(HOST)
}

/** A platform such as `linux-arm64`: its names, and its flavours from the most demanding to the least. */
export function platformNamed(name) {
  const platform = PLATFORMS[name]
  if (!platform) {
    const what = name === HOST ? 'this machine is' : 'not on'
    throw new Failure(`rkllmjs is built for ${Object.keys(PLATFORMS).join(' and ')}; ${what} ${name}`)
  }
  const folder = inRepository('npm', platform.binary)
  const flavours = JSON.parse(readFileSync(`${folder}/flavours.json`, 'utf8'))
  return { ...platform, name, folder, flavours, node: `rkllmjs.${platform.binary}.node`, isHost: name === HOST }
}

/** The flavours that this machine's CPU runs, best first. */
export function runnableFlavours(platform = hostPlatform()) {
  const { runnable, featuresOf } = require(`${platform.folder}/pick.js`)
  const features = featuresOf(readFileSync('/proc/cpuinfo', 'utf8'))
  return runnable(platform.flavours, features).map(({ name }) => name)
}

/** The best flavour that this machine both compiles and runs. */
export function hostFlavour() {
  const compiler = requiredCompiler(hostPlatform())
  const flavour = runnableFlavours().find((name) => canCompile(name, compiler))
  if (!flavour) throw new Failure('this CPU runs none of the flavours in scripts/flavours.mjs')
  return flavour
}

/** The variables under which cargo builds one flavour, for another platform with a cross compiler. */
export function environment(flavour, platform = hostPlatform()) {
  const { triple, flavours } = platform
  const compiler = requiredCompiler(platform)
  if (!flavours.some(({ name }) => name === flavour)) {
    throw new Failure(`no flavour ${flavour}; there are ${flavours.map(({ name }) => name).join(', ')}`)
  }
  if (!canCompile(flavour, compiler)) {
    throw new Failure(`${compiler.cxx} ${compiler.major} miscompiles AMX: install clang-19, or GCC 13 or newer`)
  }
  const variables = {
    ...compilerEnvironment(compiler),
    ...(platform.name === 'linux-arm64' ? armSwitches(flavour) : x64Switches(flavour)),
    // A GGML_* variable that appears does not make cargo run llama.cpp's build again: a folder for each flavour does.
    CARGO_TARGET_DIR: targetFolder(flavour, platform),
    // napi builds with --target; the same here, or cargo would build everything twice.
    CARGO_BUILD_TARGET: triple,
    // The HTTP client that llama.cpp carries would link libssl wherever its headers are installed.
    CMAKE_DISABLE_FIND_PACKAGE_OpenSSL: 'ON',
    LLAMA_LIB_PROFILE: 'Release',
    CMAKE_PROJECT_INCLUDE: inRepository('scripts/build/llama.cmake'),
  }
  return platform.isHost ? variables : crossEnvironment(variables, platform, requiredCrossRust(triple))
}

/** Where cargo builds a flavour. */
export function targetFolder(flavour, { name, isHost } = hostPlatform()) {
  return inRepository('target', isHost ? flavour : `${name}-${flavour}`)
}

function canCompile(flavour, compiler) {
  return flavour !== 'amx' || compilesAmx(compiler)
}

function x64Switches(flavour) {
  const names = Object.keys(AMX)
  return Object.fromEntries(names.map((name) => [name, X64[flavour][name] ? 'ON' : 'OFF']))
}

function armSwitches(flavour) {
  return { RKLLMJS_ARM_ARCHITECTURE: ARM64[flavour] }
}

function requiredCompiler({ isHost, tools }) {
  const compiler = isHost ? findCompiler() : findCrossCompiler(tools)
  if (!compiler) throw new Failure(isHost ? 'no C++ compiler' : `no ${tools}-g++`)
  return compiler
}

function requiredCrossRust(triple) {
  const rustc = findCrossRust(triple)
  if (!rustc) throw new Failure(`no rustc here has the standard library of ${triple}`)
  return rustc
}

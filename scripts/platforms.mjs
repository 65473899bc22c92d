// The platforms that the addon is built for, and how: with code for every level of CPU of theirs, the flavours.
import { readFileSync } from 'node:fs'
import { compilerEnvironment, compilesAmx, findCompiler, findCrossCompiler } from './build/compiler.mjs'
import { crossEnvironment } from './build/cross.mjs'
import { Failure } from './command.mjs'
import { inRepository } from './repository.mjs'
import { findCrossRust } from './setup/cross-rust.mjs'

/**
 * Where the addon runs today. `binary` is how napi-rs names the platform, `tools` how its cross compilers begin,
 * `table` what tells of its flavours.
 */
const PLATFORMS = {
  'linux-x64': { binary: 'linux-x64-gnu', triple: 'x86_64-unknown-linux-gnu', tools: 'x86_64-linux-gnu', table: 'x86_64' },
  'linux-arm64': { binary: 'linux-arm64-gnu', triple: 'aarch64-unknown-linux-gnu', tools: 'aarch64-linux-gnu', table: 'aarch64' },
}

/** What ggml turns on for x64 unless it is told otherwise. The flavours bring their own options. */
const SWITCHES = ['SSE42', 'AVX', 'AVX2', 'FMA', 'F16C', 'BMI2', 'AVX512', 'AVX512_VNNI', 'AVX512_BF16', 'AVX_VNNI', 'AMX_TILE', 'AMX_INT8', 'AMX_BF16']

const HOST = `${process.platform}-${process.arch}`

/** This machine's platform. */
export function hostPlatform() {
  return platformNamed(HOST)
}

/** A platform such as `linux-arm64`: its names, and those of its flavours from the most demanding to the least. */
export function platformNamed(name) {
  const platform = PLATFORMS[name]
  if (!platform) {
    const what = name === HOST ? 'this machine is' : 'not on'
    throw new Failure(`rkllmjs is built for ${Object.keys(PLATFORMS).join(' and ')}; ${what} ${name}`)
  }
  const table = inRepository('crates/llama/flavours', `${platform.table}.json`)
  return {
    ...platform,
    name,
    table,
    folder: inRepository('npm', platform.binary),
    flavours: JSON.parse(readFileSync(table, 'utf8')).map((flavour) => flavour.name),
    node: `rkllmjs.${platform.binary}.node`,
    isHost: name === HOST,
  }
}

/** The flavours that this machine's compiler for a platform makes right. */
export function compiledFlavours(platform = hostPlatform()) {
  const compiler = requiredCompiler(platform)
  return platform.flavours.filter((name) => name !== 'amx' || compilesAmx(compiler))
}

/** The variables under which cargo builds for this machine, or for another platform with a cross compiler. */
export function environment(platform = hostPlatform()) {
  const variables = {
    ...compilerEnvironment(requiredCompiler(platform)),
    RKLLMJS_FLAVOURS: compiledFlavours(platform).join(' '),
    RKLLMJS_FLAVOUR_TABLE: platform.table,
    ...Object.fromEntries(SWITCHES.map((name) => [`GGML_${name}`, 'OFF'])),
    CARGO_TARGET_DIR: targetFolder(platform),
    // napi builds with --target; the same here, or cargo would build everything twice.
    CARGO_BUILD_TARGET: platform.triple,
    // The HTTP client that llama.cpp carries would link libssl wherever its headers are installed.
    CMAKE_DISABLE_FIND_PACKAGE_OpenSSL: 'ON',
    LLAMA_LIB_PROFILE: 'Release',
    CMAKE_PROJECT_INCLUDE: inRepository('scripts/build/llama.cmake'),
  }
  return platform.isHost ? variables : crossEnvironment(variables, platform, requiredCrossRust(platform.triple))
}

/** Where cargo builds for a platform. */
export function targetFolder({ name } = hostPlatform()) {
  return inRepository('target', name)
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

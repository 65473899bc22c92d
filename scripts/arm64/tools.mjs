// What building for arm64 and running the result need from the system: only on Debian and Ubuntu do we bring it.
import { Failure, say } from '../command.mjs'
import { read, run } from '../run.mjs'
import { aptCandidate, aptInstall, aptUpdate } from '../setup/apt.mjs'
import { checkCrossRust, findCrossRust, isRecent, oldestRust } from '../setup/cross-rust.mjs'
import { findProgram } from '../setup/program.mjs'
import { EMULATOR, hasArm64System, hasArm64SystemCxx } from './emulator.mjs'
import { ARM64 } from './platform.mjs'

// Firefox and Chromium need a recent Rust, so Debian's stable releases have one under this name.
const DEBIAN_RUST = 'rustc-web'

const NEEDS = [
  { what: `Rust for ${ARM64.triple}`, isThere: hasRust, apt: [DEBIAN_RUST, 'libstd-rust-web-dev:arm64', 'libstdc++6:arm64'] },
  { what: `${ARM64.tools}-gcc`, isThere: () => findProgram(`${ARM64.tools}-gcc`), apt: ['gcc-aarch64-linux-gnu'] },
  { what: `${ARM64.tools}-g++`, isThere: () => findProgram(`${ARM64.tools}-g++`), apt: ['g++-aarch64-linux-gnu'] },
  { what: EMULATOR, isThere: () => findProgram(EMULATOR), apt: ['qemu-user-static'] },
  // Foreign packages bring arm64's libc alone, and then the emulated Node looks for the rest among them.
  { what: 'libstdc++ for arm64', isThere: () => !hasArm64System() || hasArm64SystemCxx(), apt: ['libstdc++6:arm64'] },
]

/** The names of what this machine lacks. */
export function missingTools() {
  return missing().map(({ what }) => what)
}

/** Installs what is missing, or says exactly how to. */
export async function bringTools() {
  const needs = missing()
  if (needs.length > 0) await bring(needs)
  const still = missingTools()
  if (still.length > 0) throw new Failure(`still missing after the installation: ${still.join(', ')}`)
  checkCrossRust(ARM64.triple)
}

async function bring(needs) {
  say(`missing: ${needs.map(({ what }) => what).join(', ')}`)
  if (!findProgram('apt-get')) throw new Failure(withoutApt(needs))
  const packages = [...new Set(needs.flatMap(({ apt }) => apt))]
  if (process.getuid() !== 0) throw new Failure(withoutRoot(packages))
  if (await lacksArchitecture(packages)) {
    say('dpkg --add-architecture arm64')
    await run('dpkg', ['--add-architecture', 'arm64'])
  }
  await aptUpdate()
  if (packages.includes(DEBIAN_RUST)) await checkDebianRust()
  await aptInstall(packages)
}

/** An older one would be installed, and then refused. */
async function checkDebianRust() {
  const version = await aptCandidate(DEBIAN_RUST)
  if (version !== undefined && isRecent(version)) return
  const found = version === undefined ? `no ${DEBIAN_RUST}` : `${DEBIAN_RUST} ${version}`
  throw new Failure(
    `apt has ${found}, and rkllmjs needs Rust ${oldestRust()} or newer. Debian's is in its security suite; ` +
      `with rustup, please run this and try again:\n\n    rustup target add ${ARM64.triple}\n`,
  )
}

async function lacksArchitecture(packages) {
  if (!packages.some((name) => name.endsWith(':arm64'))) return false
  return !(await read('dpkg', ['--print-foreign-architectures'])).split('\n').includes('arm64')
}

function withoutRoot(packages) {
  const lines = [
    ...(packages.some((name) => name.endsWith(':arm64')) ? ['sudo dpkg --add-architecture arm64'] : []),
    'sudo apt-get update',
    `sudo apt-get install -y --no-install-recommends --no-remove ${packages.join(' ')}`,
  ]
  const rustup = packages.includes(DEBIAN_RUST)
    ? `\nWith rustup, \`rustup target add ${ARM64.triple}\` stands for the packages of rustc-web and :arm64.\n`
    : ''
  return `not root, so please run this and try again:\n\n    ${lines.join('\n    ')}\n${rustup}`
}

function withoutApt(needs) {
  const lines = needs.map(({ what, apt }) => `${what}   (on Debian: ${apt.join(' ')})`)
  return (
    `this machine has no apt-get, so please install these and try again:\n\n    ${lines.join('\n    ')}\n\n` +
    `With rustup the first comes by: rustup target add ${ARM64.triple}\n`
  )
}

function missing() {
  return NEEDS.filter(({ isThere }) => !isThere())
}

function hasRust() {
  return findCrossRust(ARM64.triple) !== undefined
}

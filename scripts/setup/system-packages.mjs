// The programs and libraries a build needs from the system, and how to get them.
import { existsSync } from 'node:fs'
import { Failure, say } from '../command.mjs'
import { aptCandidate, aptInstall, aptUpdate } from './apt.mjs'
import { hasLibclang } from './libclang.mjs'
import { findProgram } from './program.mjs'

const NEEDS = [
  { what: 'cmake', why: 'configures llama.cpp', isThere: () => findProgram('cmake'), apt: 'cmake', dnf: 'cmake', pacman: 'cmake', brew: 'cmake' },
  { what: 'make', why: 'builds llama.cpp', isThere: () => findProgram('make'), apt: 'make', dnf: 'make', pacman: 'make', brew: 'make' },
  { what: 'cc', why: 'links Rust programs', isThere: () => findProgram('cc'), apt: 'gcc', dnf: 'gcc', pacman: 'gcc', brew: 'llvm' },
  { what: 'a C++ compiler', why: 'compiles llama.cpp', isThere: hasCxx, apt: 'g++', dnf: 'gcc-c++', pacman: 'gcc', brew: 'llvm' },
  { what: 'libclang', why: 'reads the C headers for Rust', isThere: hasLibclang, apt: 'libclang-dev', dnf: 'clang-devel', pacman: 'clang', brew: 'llvm' },
  { what: 'ccache', why: 'makes the second build fast', isThere: () => findProgram('ccache'), apt: 'ccache', dnf: 'ccache', pacman: 'ccache', brew: 'ccache' },
]

/** One package that is both the better compiler and libclang, where the distribution has it. */
const PREFERRED_COMPILER = 'clang-19'
const REPLACED_BY_PREFERRED = new Set(['g++', 'libclang-dev'])

/** Installs what is missing, or says exactly how to. */
export async function systemPackages() {
  const missing = missingNeeds()
  if (missing.length === 0) return
  say(`missing: ${missing.map(({ what, why }) => `${what} (${why})`).join(', ')}`)
  if (!findProgram('apt-get')) throw new Failure(withoutApt(missing))
  if (process.getuid() !== 0) {
    const packages = await aptPackages(missing)
    throw new Failure(`not root, so please run this and try again:\n\n    sudo apt-get install -y ${packages.join(' ')}\n`)
  }
  await aptUpdate()
  await aptInstall(await aptPackages(missing))
  const still = missingNeeds()
  if (still.length > 0) throw new Failure(`still missing after the installation: ${still.map(({ what }) => what).join(', ')}`)
}

function missingNeeds() {
  return NEEDS.filter(({ isThere }) => !isThere())
}

function hasCxx() {
  return ['clang++-19', 'g++', 'clang++'].some(findProgram)
}

async function aptPackages(missing) {
  const packages = missing.map(({ apt }) => apt)
  if (findProgram(PREFERRED_COMPILER) || !(await aptCandidate(PREFERRED_COMPILER))) return packages
  return [...packages.filter((name) => !REPLACED_BY_PREFERRED.has(name)), PREFERRED_COMPILER]
}

function withoutApt(missing) {
  const names = (manager) => [...new Set(missing.map((need) => need[manager]))].join(' ')
  const byManager = {
    dnf: `sudo dnf install -y ${names('dnf')}`,
    pacman: `sudo pacman -S --needed ${names('pacman')}`,
    brew: `brew install ${names('brew')}`,
  }
  const known = Object.keys(byManager).find(findProgram)
  const lines = known ? [byManager[known]] : Object.values(byManager)
  const also = existsSync('/usr/bin/xcode-select') ? '\n    xcode-select --install' : ''
  return `please install what is missing and try again:\n\n    ${lines.join('\n    ')}${also}\n`
}

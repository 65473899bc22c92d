// Which C and C++ compiler builds llama.cpp.
import { execFileSync } from 'node:child_process'
import { findProgram } from '../setup/program.mjs'

// clang 19 is measured faster than GCC 12 here, and its AMX code is right.
const CANDIDATES = [
  { family: 'clang', cc: 'clang-19', cxx: 'clang++-19', major: () => 19 },
  { family: 'gcc', cc: 'gcc', cxx: 'g++', major: askMajor },
  { family: 'clang', cc: 'clang', cxx: 'clang++', major: askMajor },
]

/** The best compiler of this machine: its programs, family and major version. */
export function findCompiler() {
  const found = CANDIDATES.find(({ cc, cxx }) => findProgram(cc) && findProgram(cxx))
  return found && { ...found, major: found.major(found.cxx) }
}

/** GCC 12 drops the stores before `ldtilecfg`: its AMX code ends in SIGILL. */
export function compilesAmx({ family, major }) {
  return family === 'clang' ? major >= 19 : major >= 13
}

/** The variables by which cargo's build scripts know the compiler. cc-rs takes the launcher apart; ggml adds its own. */
export function compilerEnvironment({ cc, cxx }) {
  const launcher = findProgram('ccache') ? 'ccache ' : ''
  return { CC: `${launcher}${cc}`, CXX: `${launcher}${cxx}` }
}

function askMajor(program) {
  return Number.parseInt(execFileSync(program, ['-dumpversion'], { encoding: 'utf8' }), 10)
}

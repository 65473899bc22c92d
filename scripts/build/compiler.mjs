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

/** GCC for another platform, whose programs begin with that platform's name. */
export function findCrossCompiler(tools) {
  const compiler = { family: 'gcc', cc: `${tools}-gcc`, cxx: `${tools}-g++` }
  if (!findProgram(compiler.cc) || !findProgram(compiler.cxx)) return undefined
  return { ...compiler, major: askMajor(compiler.cxx) }
}

/** GCC 12 drops the stores before `ldtilecfg`: its AMX code ends in SIGILL. */
export function compilesAmx({ family, major }) {
  return family === 'clang' ? major >= 19 : major >= 13
}

/** The variables by which cargo's build scripts know the compiler. cc-rs takes the launcher apart; ggml adds its own. */
export function compilerEnvironment({ family, cc, cxx }) {
  const launcher = findProgram('ccache') ? 'ccache ' : ''
  const compilers = { CC: `${launcher}${cc}`, CXX: `${launcher}${cxx}` }
  // A process that ends while a thread computes must not find the statics it computes with destroyed. Only clang
  // can leave them alone; with GCC the addon makes them before it registers its own end, which is tested too.
  return family === 'clang' ? { ...compilers, CXXFLAGS: '-fno-c++-static-destructors' } : compilers
}

function askMajor(program) {
  return Number.parseInt(execFileSync(program, ['-dumpversion'], { encoding: 'utf8' }), 10)
}

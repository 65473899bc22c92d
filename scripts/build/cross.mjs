// Building for another platform than this machine's: what cargo, CMake and bindgen are told besides.

const OF_THE_COMPILER = new Set(['CC', 'CXX', 'CXXFLAGS'])

/**
 * The same variables for a cross build with this `rustc`. Those of the compiler take the platform's name, for programs
 * that the build itself runs are compiled for this machine. CMake learns the platform from the `cmake` crate.
 */
export function crossEnvironment(variables, { triple, tools }, rustc) {
  const name = triple.replaceAll('-', '_')
  const renamed = Object.entries(variables).map(([key, value]) => [OF_THE_COMPILER.has(key) ? `${key}_${name}` : key, value])
  return {
    ...Object.fromEntries(renamed),
    RUSTC: rustc,
    [`CARGO_TARGET_${name.toUpperCase()}_LINKER`]: `${tools}-gcc`,
    [`BINDGEN_EXTRA_CLANG_ARGS_${name}`]: `-I/usr/${tools}/include`,
  }
}

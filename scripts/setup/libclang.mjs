// bindgen opens libclang at build time, and libclang needs the headers of its own version.
import { existsSync, readdirSync } from 'node:fs'
import path from 'node:path'

const LIBRARY = /^libclang(-[\d.]+)?\.(so|dylib)(\.[\d.]+)?$/

/** Whether bindgen will find a usable libclang. */
export function hasLibclang() {
  const folders = [process.env.LIBCLANG_PATH, ...libraryFolders()].filter(Boolean)
  return folders.some((folder) => entries(folder).some((name) => LIBRARY.test(name))) && hasBuiltinHeaders()
}

function libraryFolders() {
  const llvm = entries('/usr/lib').filter((name) => name.startsWith('llvm'))
  const multiarch = entries('/usr/lib').filter((name) => name.endsWith('-linux-gnu'))
  return [
    ...llvm.map((name) => `/usr/lib/${name}/lib`),
    ...multiarch.map((name) => `/usr/lib/${name}`),
    ...['/usr/lib', '/usr/lib64', '/usr/local/lib', '/opt/homebrew/opt/llvm/lib', '/usr/local/opt/llvm/lib'],
    '/Library/Developer/CommandLineTools/usr/lib',
  ]
}

function hasBuiltinHeaders() {
  if (process.platform !== 'linux' || process.env.LIBCLANG_PATH) return true
  const llvm = entries('/usr/lib').filter((name) => name.startsWith('llvm'))
  return [...llvm.map((name) => `/usr/lib/${name}/lib/clang`), '/usr/lib/clang', '/usr/lib64/clang'].some((folder) =>
    entries(folder).some((version) => existsSync(path.join(folder, version, 'include/stddef.h'))),
  )
}

function entries(folder) {
  try {
    return readdirSync(folder)
  } catch {
    return []
  }
}

/**
 * Loads the arm64 platform package as on a machine with the given /proc/cpuinfo, which the emulator does not
 * imitate, and prints which addon that loaded, or why none.
 */
import fs from 'node:fs'
import { createRequire } from 'node:module'
import path from 'node:path'

const [cpuinfo] = process.argv.slice(2)
const require = createRequire(import.meta.url)

const { readFileSync } = fs
fs.readFileSync = (file, ...rest) => (file === '/proc/cpuinfo' ? cpuinfo : readFileSync(file, ...rest))

try {
  require('../../npm/linux-arm64-gnu/index.js')
  console.log(path.basename(Object.keys(require.cache).find((file) => file.endsWith('.node'))))
} catch (error) {
  console.log(error.message)
}

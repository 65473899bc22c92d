// Question 1: what a library exports and says of itself. Reads the file and opens nothing.
import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { test } from 'node:test'

import { finding, libraryPath, noLibrary } from './board.mjs'
import { readElf } from './elf.mjs'

test('a library names its version and exports what is called', { skip: noLibrary }, () => {
  const bytes = readFileSync(libraryPath)
  const { soname, needed, exports } = readElf(bytes)
  const start = bytes.indexOf('RKLLM SDK (version: ')
  const banner = start < 0 ? 'none' : bytes.toString('latin1', start, start + 160).split(/[\0\n]|(?<=\))/)[0]
  const ours = exports.filter((name) => name.startsWith('rkllm'))
  finding(1, `SONAME ${soname}; needs ${needed.join(' ')}`)
  finding(1, `banner: ${banner}`)
  finding(1, `${ours.length} exports: ${ours.join(' ')}`)
  assert.ok(ours.includes('rkllm_init') && ours.includes('rkllm_run'))
})

// Question 11: the numbers at the start of a model, whose names are masked, and the toolkit's line at its end.
import assert from 'node:assert/strict'
import { closeSync, fstatSync, openSync, readSync } from 'node:fs'
import { test } from 'node:test'

import { finding, modelPath, noBoard } from './board.mjs'

/** Bytes of the metadata types of fixed width. */
const WIDTHS = { 0: 1, 1: 1, 2: 2, 3: 2, 4: 4, 5: 4, 6: 4, 7: 1, 10: 8, 11: 8, 12: 8 }
const TEXT = 8
const HEAD_BYTES = 1 << 20

function readAt(path, offset, length) {
  const file = openSync(path)
  try {
    const { size } = fstatSync(file)
    const bytes = Buffer.alloc(Math.min(length, size))
    readSync(file, bytes, 0, bytes.length, offset < 0 ? Math.max(0, size + offset) : offset)
    return bytes
  } finally {
    closeSync(file)
  }
}

/** The small whole numbers among the first entries, each with its place; ends at the first list. */
function wholeNumbers(bytes) {
  const found = []
  const count = Number(bytes.readBigUInt64LE(16))
  let at = 24
  for (let entry = 0; entry < count && at + 64 < bytes.length; entry += 1) {
    at += 8 + Number(bytes.readBigUInt64LE(at))
    const type = bytes.readUInt32LE(at)
    at += 4
    if (type === TEXT) at += 8 + Number(bytes.readBigUInt64LE(at))
    else if (WIDTHS[type] === undefined) break
    else {
      if (type === 4 || type === 5) found.push(`#${entry}=${bytes.readUInt32LE(at)}`)
      at += WIDTHS[type]
    }
  }
  return found
}

test('a model begins and ends as known', { skip: noBoard }, () => {
  const head = readAt(modelPath, 0, HEAD_BYTES)
  assert.equal(head.toString('hex', 0, 4), 'daeeb336')
  finding(11, `format ${head.readUInt32LE(4)}, ${head.readBigUInt64LE(8)} tensors, ${head.readBigUInt64LE(16)} entries`)
  let numbers
  try {
    numbers = wholeNumbers(head).join(' ')
  } catch (error) {
    numbers = `not laid out as thought: ${error.message}`
  }
  finding(11, `whole numbers among the entries, one of which is the chip: ${numbers || 'none'}`)
  const end = readAt(modelPath, -4096, 4096).toString('latin1')
  finding(11, `at the end: ${/rkllm-toolkit version: [\w.]+/.exec(end)?.[0] ?? 'no version of a toolkit'}`)
})

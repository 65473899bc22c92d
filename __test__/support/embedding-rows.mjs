// What the bundled model makes of tokens before its first layer: rows of its table, read off the GGUF file.
import { readFileSync } from 'node:fs'
import { bundledModelPath } from 'rkllmjs'

const TABLE = 'token_embd.weight'
const STRING = 8
const ARRAY = 9
const Q8_0 = 8
/** Numbers of a block, which share a scale of two bytes. */
const BLOCK = 32
const BYTES_OF_TYPE = { 0: 1, 1: 1, 2: 2, 3: 2, 4: 4, 5: 4, 6: 4, 7: 1, 10: 8, 11: 8, 12: 8 }

const table = read(readFileSync(bundledModelPath()))

/** The vectors of `tokens`, one after the other. */
export function rowsOf(tokens) {
  const { length, data } = table
  const rows = new Float32Array(tokens.length * length)
  const rowBytes = (length / BLOCK) * (2 + BLOCK)
  Array.from(tokens).forEach((token, row) => {
    for (let i = 0; i < length; i += 1) {
      const block = token * rowBytes + Math.floor(i / BLOCK) * (2 + BLOCK)
      rows[row * length + i] = half(data.getUint16(block, true)) * data.getInt8(block + 2 + (i % BLOCK))
    }
  })
  return rows
}

/** Where the table is, and how long its rows are. */
function read(bytes) {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length)
  let at = 8
  const whole = () => Number(view.getBigUint64((at += 8) - 8, true))
  const small = () => view.getUint32((at += 4) - 4, true)
  const text = () => {
    const length = whole()
    return bytes.toString('utf8', at, (at += length))
  }
  const skip = (type) => {
    if (type === STRING) text()
    else if (type === ARRAY) for (let item = small(), left = whole(); left > 0; left -= 1) skip(item)
    else at += BYTES_OF_TYPE[type]
  }
  const [tensors, values] = [whole(), whole()]
  for (let i = 0; i < values; i += 1) {
    text()
    skip(small())
  }
  let found
  for (let i = 0; i < tensors; i += 1) {
    const name = text()
    const sizes = Array.from({ length: small() }, whole)
    const [type, offset] = [small(), whole()]
    if (name === TABLE && type === Q8_0) found = { length: sizes[0], offset }
  }
  const data = Math.ceil(at / 32) * 32 + found.offset
  return { length: found.length, data: new DataView(view.buffer, view.byteOffset + data) }
}

/** A number of two bytes; the table has no denormal ones. */
function half(bits) {
  const sign = bits >> 15 === 0 ? 1 : -1
  return sign * 2 ** (((bits >> 10) & 31) - 15) * (1 + (bits & 1023) / 1024)
}

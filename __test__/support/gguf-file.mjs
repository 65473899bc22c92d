// Reads what a small GGUF file holds, and changes single numbers of it.
import { readFileSync } from 'node:fs'

/** Bytes of the metadata types that have a fixed size. */
const SIZES = { 0: 1, 1: 1, 2: 2, 3: 2, 4: 4, 5: 4, 6: 4, 7: 1, 10: 8, 11: 8, 12: 8 }
const [STRING, ARRAY, F32] = [8, 9, 0]

/** The bytes of a file, where each metadata value begins, and its tensors of f32. */
export function readGguf(file) {
  const bytes = readFileSync(file)
  let at = 8
  const u32 = () => bytes.readUInt32LE((at += 4) - 4)
  const u64 = () => Number(bytes.readBigUInt64LE((at += 8) - 8))
  const text = () => {
    const length = u64()
    return bytes.toString('utf8', at, (at += length))
  }
  const skip = (type) => {
    if (type === STRING) text()
    else if (type === ARRAY) for (let [element, count] = [u32(), u64()]; count > 0; count -= 1) skip(element)
    else at += SIZES[type]
  }
  const [tensorCount, keyCount] = [u64(), u64()]
  const places = new Map()
  for (let i = 0; i < keyCount; i += 1) {
    const key = text()
    const type = u32()
    places.set(key, at)
    skip(type)
  }
  const table = Array.from({ length: tensorCount }, () => {
    const name = text()
    const dims = Array.from({ length: u32() }, u64)
    return { name, dims, type: u32(), offset: u64() }
  })
  const data = Math.ceil(at / 32) * 32
  const tensors = new Map(
    table
      .filter(({ type }) => type === F32)
      .map(({ name, dims, offset }) => {
        const values = Float32Array.from({ length: dims.reduce((a, b) => a * b) }, (_, i) =>
          bytes.readFloatLE(data + offset + 4 * i),
        )
        return [name, { dims, values }]
      }),
  )
  return { bytes, places, tensors }
}

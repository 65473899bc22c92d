// Writes GGUF files, and splits one into parts as llama.cpp's own tool does: metadata in the first, tensors over all.
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import path from 'node:path'

const ALIGNMENT = 32
const SIZES = { 0: 1, 1: 1, 2: 2, 3: 2, 4: 4, 5: 4, 6: 4, 7: 1, 10: 8, 11: 8, 12: 8 }
const [U16, I32, STRING, ARRAY] = [2, 5, 8, 9]

/** Writes the parts into `folder`; their paths. `change` may edit a part's `{ keys, tensors }` before it is written. */
export function splitModel(file, folder, count, change = (part) => part) {
  mkdirSync(folder, { recursive: true })
  const { keys, tensors } = parse(readFileSync(file))
  const each = Math.ceil(tensors.length / count)
  return Array.from({ length: count }, (_, number) => {
    const splitKeys = [u16('split.no', number), u16('split.count', count), i32('split.tensors.count', tensors.length)]
    const part = change({ keys: number === 0 ? [...keys, ...splitKeys] : splitKeys, tensors: tensors.slice(number * each, (number + 1) * each) }, number)
    const out = path.join(folder, partName('model', number + 1, count))
    writeFileSync(out, serialize(part))
    return out
  })
}

export const partName = (prefix, part, count) => `${prefix}-${String(part).padStart(5, '0')}-of-${String(count).padStart(5, '0')}.gguf`

export const u16 = (key, value) => entry(key, U16, Buffer.from(Uint16Array.of(value).buffer))
export const i32 = (key, value) => entry(key, I32, Buffer.from(Int32Array.of(value).buffer))

/** A key whose value is text. */
export const text = (key, value) => entry(key, STRING, string(value))

const u32 = (value) => Buffer.from(Uint32Array.of(value).buffer)
const u64 = (value) => Buffer.from(BigUint64Array.of(BigInt(value)).buffer)
const string = (text) => Buffer.concat([u64(Buffer.byteLength(text)), Buffer.from(text)])
const entry = (key, type, value) => ({ key, bytes: Buffer.concat([string(key), u32(type), value]) })
const padded = (bytes) => Buffer.concat([bytes, Buffer.alloc((ALIGNMENT - (bytes.length % ALIGNMENT)) % ALIGNMENT)])

/** The bytes of a file. */
export function serialize({ keys, tensors }) {
  let offset = 0
  const headers = tensors.map(({ name, dims, type, data }) => {
    const header = [string(name), u32(dims.length), ...dims.map(u64), u32(type), u64(offset)]
    offset += padded(data).length
    return Buffer.concat(header)
  })
  const preamble = [Buffer.from('GGUF'), u32(3), u64(tensors.length), u64(keys.length), ...keys.map(({ bytes }) => bytes), ...headers]
  return Buffer.concat([padded(Buffer.concat(preamble)), ...tensors.map(({ data }) => padded(data))])
}

function parse(bytes) {
  let at = 8
  const count = () => Number(bytes.readBigUInt64LE((at += 8) - 8))
  const number = () => bytes.readUInt32LE((at += 4) - 4)
  const readText = () => {
    const length = count()
    return bytes.toString('utf8', at, (at += length))
  }
  const skip = (type) => {
    if (type === STRING) readText()
    else if (type === ARRAY) {
      const inner = number()
      for (let left = count(); left > 0; left -= 1) skip(inner)
    } else at += SIZES[type]
  }
  const [tensorCount, keyCount] = [count(), count()]
  const keys = Array.from({ length: keyCount }, () => {
    const from = at
    const key = readText()
    skip(number())
    return { key, bytes: bytes.subarray(from, at) }
  })
  const headers = Array.from({ length: tensorCount }, () => {
    const name = readText()
    const dims = Array.from({ length: number() }, count)
    return { name, dims, type: number(), offset: count() }
  })
  const data = Math.ceil(at / ALIGNMENT) * ALIGNMENT
  const ends = [...headers.slice(1).map(({ offset }) => offset), bytes.length - data]
  return { keys, tensors: headers.map((tensor, i) => ({ ...tensor, data: bytes.subarray(data + tensor.offset, data + ends[i]) })) }
}

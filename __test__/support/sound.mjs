// Sound files made by hand: what no encoder would write included.

const u16 = (value) => Buffer.from([value & 255, (value >> 8) & 255])
const u32 = (value) => {
  const bytes = Buffer.alloc(4)
  bytes.writeUInt32LE(value >>> 0)
  return bytes
}

/** A WAV of 16 bits a sample; `sample` gives those of a moment from 0 on, for each channel from -1 to 1. */
export function wav(seconds, { rate = 16_000, channels = 1, sample = (i, c) => Math.sin((i * (220 + 110 * c) * 2 * Math.PI) / rate) / 2 } = {}) {
  const count = Math.round(seconds * rate)
  const data = Buffer.alloc(count * channels * 2)
  for (let i = 0; i < count; i++) {
    for (let c = 0; c < channels; c++) data.writeInt16LE(Math.round(sample(i, c) * 32_767), (i * channels + c) * 2)
  }
  return wavOf(data, { rate, channels })
}

/** A WAV around these bytes, whatever its header promises. */
export function wavOf(data, { rate = 16_000, channels = 1, bits = 16, kind = 1, promised = data.length } = {}) {
  const block = (channels * bits) / 8
  const format = Buffer.concat([u16(kind), u16(channels), u32(rate), u32(rate * block), u16(block), u16(bits)])
  const chunk = (name, bytes, length = bytes.length) => Buffer.concat([Buffer.from(name), u32(length), bytes])
  const body = Buffer.concat([Buffer.from('WAVE'), chunk('fmt ', format), chunk('data', data, promised)])
  return chunk('RIFF', body)
}

/** A FLAC of `seconds` in which every block has one value, at 16000 samples a second; `total` is what it promises. */
export function flac(seconds, { total = 0, value = (block) => (block % 2) * 4000 } = {}) {
  const info = Buffer.alloc(34)
  info.writeUInt16BE(4096, 0)
  info.writeUInt16BE(4096, 2)
  // Rate, one channel, sixteen bits, samples.
  info.writeBigUInt64BE((16_000n << 44n) | (15n << 36n) | BigInt(total), 10)
  const blocks = Array.from({ length: Math.ceil((seconds * 16_000) / 4096) }, (_, block) => flacBlock(block, value(block)))
  return Buffer.concat([Buffer.from('fLaC'), Buffer.from([0x80, 0, 0, 34]), info, ...blocks])
}

function flacBlock(number, value) {
  // 4096 samples at 16000 a second, one channel, sixteen bits.
  const head = Buffer.concat([Buffer.from([0xff, 0xf8, 0xc5, 0x08]), Buffer.from(String.fromCodePoint(number))])
  const headed = Buffer.concat([head, Buffer.from([crc(head, 8, 0x07)])])
  const body = Buffer.concat([headed, Buffer.from([0, (value >> 8) & 255, value & 255])])
  const check = crc(body, 16, 0x8005)
  return Buffer.concat([body, Buffer.from([check >> 8, check & 255])])
}

function crc(bytes, bits, polynomial) {
  const [top, mask] = [1 << (bits - 1), (1 << bits) - 1]
  let value = 0
  for (const byte of bytes) {
    value ^= byte << (bits - 8)
    for (let bit = 0; bit < 8; bit++) value = (value & top ? (value << 1) ^ polynomial : value << 1) & mask
  }
  return value
}

/** Silence as MP3: frames of 1152 samples, 44100 a second, that say nothing. */
export function silentMp3(seconds) {
  const frame = Buffer.alloc(417)
  frame.set([0xff, 0xfb, 0x90, 0xc0])
  return Buffer.concat(Array(Math.ceil((seconds * 44_100) / 1152)).fill(frame))
}

// The few facts of a shared library that the findings name; a 64-bit one of little byte order.

const STRINGS = 3
const DYNAMIC = 6
const SYMBOLS = 11
const NEEDED = 1
const SONAME = 14

/** `{ soname, needed, exports }` of the bytes of a library. */
export function readElf(bytes) {
  const at = (offset) => Number(bytes.readBigUInt64LE(offset))
  const [table, size, count] = [at(0x28), bytes.readUInt16LE(0x3a), bytes.readUInt16LE(0x3c)]
  const sections = Array.from({ length: count }, (_, i) => {
    const start = table + i * size
    return { type: bytes.readUInt32LE(start + 4), offset: at(start + 24), length: at(start + 32), link: bytes.readUInt32LE(start + 40) }
  })
  const entriesOf = (type, width) => {
    const section = sections.find((one) => one.type === type)
    if (section === undefined || sections[section.link]?.type !== STRINGS) return []
    const text = (offset) => {
      const start = sections[section.link].offset + offset
      return bytes.toString('latin1', start, bytes.indexOf(0, start))
    }
    return Array.from({ length: Math.floor(section.length / width) }, (_, i) => ({ start: section.offset + i * width, text }))
  }
  const tags = entriesOf(DYNAMIC, 16).map(({ start, text }) => ({ tag: at(start), name: () => text(at(start + 8)) }))
  const names = (tag) => tags.filter((entry) => entry.tag === tag).map((entry) => entry.name())
  const symbols = entriesOf(SYMBOLS, 24)
    // Defined here: those that it needs of others have no section.
    .filter(({ start }) => bytes.readUInt16LE(start + 6) !== 0)
    .map(({ start, text }) => text(bytes.readUInt32LE(start)))
  return { soname: names(SONAME)[0], needed: names(NEEDED), exports: symbols.sort() }
}

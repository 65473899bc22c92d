// Files of the stand-in's kind, made of those that are there.
import { copyFileSync, existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { basename, dirname, join } from 'node:path'

import { standinModelPath } from '../../dist/standin.mjs'

const CONTENTS_OFFSET = 4096
const CONTENTS_BYTES_AT = 116
const COMPANIONS = ['tokenizer.json', 'tokenizer_config.json', 'config.json']
const FOOTER = 'rkllm-toolkit version: '

/** A copy of the stand-in's model in `folder` that says it was made by that version of the toolkit. */
export function modelOfToolkit(folder, version) {
  mkdirSync(folder, { recursive: true })
  const from = standinModelPath()
  for (const name of COMPANIONS) copyFileSync(join(dirname(from), name), join(folder, name))
  const bytes = readFileSync(from)
  const at = bytes.lastIndexOf(FOOTER)
  const path = join(folder, basename(from))
  writeFileSync(path, Buffer.concat([bytes.subarray(0, at), Buffer.from(FOOTER + version)]))
  return path
}

/** A GGUF adapter behind the header of an `.rkllm` file. */
export function wrapAdapter(gguf, path) {
  const contents = readFileSync(gguf)
  const header = Buffer.from(readFileSync(standinModelPath()).subarray(0, CONTENTS_OFFSET))
  header.writeBigUInt64LE(BigInt(contents.length), CONTENTS_BYTES_AT)
  writeFileSync(path, Buffer.concat([header, contents, Buffer.from(`${FOOTER}1.2.1`)]))
  return path
}

/** A copy of a library that says it is of another version. */
export function libraryOfVersion(library, version, path) {
  // Who writes to a library that is loaded crashes the process.
  if (existsSync(path)) return path
  const bytes = readFileSync(library)
  const banner = 'RKLLM SDK (version: '
  const at = bytes.indexOf(banner) + banner.length
  if (at < banner.length) throw new Error(`${library} has no banner`)
  bytes.write(version, at)
  writeFileSync(path, bytes)
  return path
}

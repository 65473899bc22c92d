import { randomUUID } from 'node:crypto'
import { constants } from 'node:fs'
import { open, rename, rm, stat } from 'node:fs/promises'
import type { FileHandle } from 'node:fs/promises'
import { basename, dirname, join } from 'node:path'

import { RkllmError } from '../error.js'
import type { ErrorCode } from '../error.js'
import { fromSaved, toSaved } from './saved-session.js'
import type { Conversation } from './conversation.js'

/** Twice what a conversation may have. */
const FILE_BYTES_MAX = 32 << 20
/** Errors of a path; others are of the disk. */
const PATH_ERRORS = ['EACCES', 'EISDIR', 'ELOOP', 'ENAMETOOLONG', 'ENOENT', 'ENOTDIR', 'EPERM', 'EROFS', 'ERR_INVALID_ARG_VALUE']

/** Writes a conversation, which takes the place of what is there once it is whole; its size in bytes. */
export async function writeSession(path: string, conversation: Conversation): Promise<number> {
  const bytes = Buffer.from(`${JSON.stringify(toSaved(conversation))}\n`)
  const partial = join(dirname(path), `.${basename(path).slice(0, 64)}.${randomUUID()}`)
  try {
    await checkReplaceable(path)
    await writeWhole(partial, bytes)
    await rename(partial, path)
  } catch (cause) {
    await rm(partial, { force: true }).catch(() => {})
    const code = isOfPath(cause) ? 'invalid-request' : 'engine-failed'
    throw fileError(code, path, `the session cannot be written to ${path}: ${messageOf(cause)}`, cause)
  }
  return bytes.length
}

/** Reads a conversation; whatever is wrong with the file is told with its path and the field at fault. */
export async function readSession(path: string): Promise<Conversation> {
  const text = await readText(path)
  try {
    return fromSaved(JSON.parse(text))
  } catch (cause) {
    if (!RkllmError.is(cause)) throw fileError('model-invalid', path, `${path} is no saved session: ${messageOf(cause)}`, cause)
    const { field } = cause.details
    throw new RkllmError('model-invalid', `${path}: ${cause.message}`, { details: { path, part: field }, cause })
  }
}

/** A device would be replaced by a file as well. */
async function checkReplaceable(path: string): Promise<void> {
  const there = await stat(path).catch(() => undefined)
  if (there?.isFile() === false) throw Object.assign(new Error('it is no regular file'), { code: 'EISDIR' })
}

async function writeWhole(path: string, bytes: Buffer): Promise<void> {
  const file = await open(path, 'wx')
  try {
    await file.writeFile(bytes)
    // Otherwise the name may reach the disk before what it names.
    await file.sync()
  } finally {
    await file.close()
  }
}

async function readText(path: string): Promise<string> {
  let file: FileHandle
  try {
    // A pipe would wait for somebody who writes.
    file = await open(path, constants.O_RDONLY | (constants.O_NONBLOCK ?? 0))
  } catch (cause) {
    if (codeOf(cause) === 'ENOENT') throw fileError('not-found', path, `there is no saved session at ${path}`, cause)
    throw fileError('model-invalid', path, `${path} cannot be opened: ${messageOf(cause)}`, cause)
  }
  try {
    const status = await file.stat()
    if (!status.isFile()) throw fileError('model-invalid', path, `${path} is no regular file`)
    if (status.size > FILE_BYTES_MAX) {
      throw fileError('model-invalid', path, `${path} has ${status.size} bytes, a saved session at most ${FILE_BYTES_MAX}`)
    }
    return await file.readFile('utf8')
  } catch (cause) {
    if (RkllmError.is(cause)) throw cause
    throw fileError('model-invalid', path, `${path} cannot be read: ${messageOf(cause)}`, cause)
  } finally {
    await file.close()
  }
}

function fileError(code: ErrorCode, path: string, message: string, cause?: unknown): RkllmError {
  return new RkllmError(code, message, { details: { path }, cause })
}

function isOfPath(error: unknown): boolean {
  return PATH_ERRORS.includes(codeOf(error) ?? '')
}

function codeOf(error: unknown): string | undefined {
  return (error as NodeJS.ErrnoException).code
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error)
}

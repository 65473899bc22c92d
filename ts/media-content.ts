import { resolve } from 'node:path'
import { types } from 'node:util'

import { describeExactly, describeValue } from './describe-value.js'
import { RkllmError, invalidRequest } from './error.js'
import type { NativeMedium } from './native.js'
import { toPath } from './path.js'

type Fields = Readonly<Record<string, unknown>>

/** Where the bytes of a medium are. */
type Found = Pick<NativeMedium, 'bytes' | 'path'>

/** What a part of a message holds. */
type Kind = 'image' | 'audio'

/** Most bytes of one image or sound; the addon holds files to the same. */
const MEDIUM_BYTES_MAX = 20 * 1024 * 1024
/** Most bytes of the media of a conversation that are not in files. */
const TOTAL_BYTES_MAX = 64 * 1024 * 1024
const AUDIO_FORMATS = ['wav', 'mp3', 'flac']
const DATA_URL = /^data:([a-z0-9.+/-]*)((?:;[^,;]*)*?)(;base64)?,/i
const WITH_SCHEME = /^([a-z][a-z0-9+.-]*):\/\//i

/** The images and sounds of a conversation in their order, as the addon takes them. */
export class ConversationMedia {
  readonly all: NativeMedium[] = []
  #bytes = 0

  /** Takes what a part of a message holds; what stands for it in the message. */
  take(place: string, part: Fields): Fields {
    const medium = taken(place, part)
    this.#bytes += medium.bytes?.length ?? 0
    if (this.#bytes > TOTAL_BYTES_MAX) {
      throw tooLarge(place, `the images and sounds of the conversation have ${this.#bytes} bytes, at most ${TOTAL_BYTES_MAX} are allowed`)
    }
    this.all.push(medium)
    return { type: medium.isAudio ? 'audio' : 'image' }
  }
}

function taken(place: string, part: Fields): NativeMedium {
  switch (part['type']) {
    case 'image':
      return of('image', place, part)
    case 'audio':
      return of('audio', place, part)
    case 'input_audio':
      return inputAudio(place, part)
    default:
      return imageUrl(place, part)
  }
}

function of(kind: Kind, place: string, part: Fields): NativeMedium {
  const at = `${place}.${kind}`
  checkMediaType(kind, place, part['mediaType'])
  return { isAudio: kind === 'audio', place: at, ...found(kind, at, part[kind]) }
}

function checkMediaType(kind: Kind, place: string, mediaType: unknown): void {
  if (mediaType === undefined || (typeof mediaType === 'string' && mediaType.startsWith(`${kind}/`))) return
  throw invalidRequest(`${place}.mediaType must begin with "${kind}/", got ${describeExactly(mediaType)}`)
}

function found(kind: Kind, at: string, source: unknown): Found {
  if (types.isUint8Array(source)) return { bytes: ofSize(kind, at, source) }
  if (source instanceof URL) return source.protocol === 'data:' ? dataUrl(kind, at, source.href) : { path: file(at, source) }
  if (typeof source !== 'string') {
    throw invalidRequest(`${at} must be a Uint8Array, a data URL, a path or a file: URL, got ${describeValue(source)}`)
  }
  if (/^data:/i.test(source)) return dataUrl(kind, at, source)
  if (/^file:/i.test(source)) return { path: file(at, parsed(at, source)) }
  refuseScheme(at, source)
  return { path: resolve(toPath(source, at)) }
}

/** Only what is in the message itself: a conversation from elsewhere must not name files of this machine. */
function imageUrl(place: string, part: Fields): NativeMedium {
  const at = `${place}.imageUrl`
  const { url } = fieldsOf(at, part['imageUrl'], 'a url')
  if (typeof url !== 'string') throw invalidRequest(`${at}.url must be a string, got ${describeValue(url)}`)
  if (/^data:/i.test(url)) return { isAudio: false, place: `${at}.url`, ...dataUrl('image', `${at}.url`, url) }
  refuseScheme(`${at}.url`, url)
  throw invalidRequest(`${at}.url must be a data URL; give paths as { type: 'image', image: path }`)
}

/** The same for sound: base64 without a URL round it. What it is shows in its bytes, whatever the format says. */
function inputAudio(place: string, part: Fields): NativeMedium {
  const at = `${place}.inputAudio`
  const { data, format } = fieldsOf(at, part['inputAudio'], 'data and a format')
  if (typeof data !== 'string') throw invalidRequest(`${at}.data must be a string, got ${describeValue(data)}`)
  if (!AUDIO_FORMATS.includes(format as string)) {
    throw invalidRequest(`${at}.format must be one of ${AUDIO_FORMATS.join(', ')}, got ${describeExactly(format)}`)
  }
  return { isAudio: true, place: `${at}.data`, ...base64('audio', `${at}.data`, data) }
}

function fieldsOf(at: string, value: unknown, what: string): Fields {
  if (typeof value === 'object' && value !== null) return value as Fields
  throw invalidRequest(`${at} must be an object with ${what}, got ${describeValue(value)}`)
}

function dataUrl(kind: Kind, place: string, url: string): Found {
  // Only the beginning is matched, however long the rest is.
  const [head, , , isBase64] = DATA_URL.exec(url.slice(0, 1024)) ?? []
  if (head === undefined || isBase64 === undefined) throw invalidRequest(`${place} must be a data URL in base64`)
  return base64(kind, place, url.slice(head.length))
}

function base64(kind: Kind, place: string, text: string): Found {
  if (text.length > Math.ceil(MEDIUM_BYTES_MAX / 3) * 4 + 4) throw mediumTooLarge(kind, place, Math.floor((text.length / 4) * 3))
  const bytes = Buffer.from(text, 'base64')
  // What is no base64 is left out silently.
  if (bytes.length !== Math.floor((unpadded(text) / 4) * 3)) throw invalidRequest(`${place} is no whole base64`)
  return { bytes: ofSize(kind, place, bytes) }
}

function unpadded(text: string): number {
  return text.endsWith('==') ? text.length - 2 : text.endsWith('=') ? text.length - 1 : text.length
}

function ofSize(kind: Kind, place: string, bytes: Uint8Array): Uint8Array {
  if (bytes.length > MEDIUM_BYTES_MAX) throw mediumTooLarge(kind, place, bytes.length)
  return bytes
}

function file(place: string, url: URL): string {
  if (url.protocol !== 'file:') refuseScheme(place, url.href)
  return toPath(url, place)
}

function parsed(place: string, url: string): URL {
  try {
    return new URL(url)
  } catch {
    throw invalidRequest(`${place} is no valid URL`)
  }
}

/** Nothing is fetched: what a conversation names may be somebody else's, and inside a network of the machine's. */
function refuseScheme(place: string, text: string): void {
  const scheme = WITH_SCHEME.exec(text)?.[1]?.toLowerCase()
  if (scheme === undefined) return
  const message = `${place} is a URL with ${JSON.stringify(scheme)}, which is not fetched: fetch it first, and pass its bytes`
  throw new RkllmError('unsupported', message)
}

function mediumTooLarge(kind: Kind, place: string, bytes: number): RkllmError {
  return tooLarge(place, `the ${kind} has ${bytes} bytes, at most ${MEDIUM_BYTES_MAX} are allowed`)
}

function tooLarge(place: string, what: string): RkllmError {
  return new RkllmError('payload-too-large', `${place}: ${what}`)
}

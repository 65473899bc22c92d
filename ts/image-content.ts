import { resolve } from 'node:path'
import { types } from 'node:util'

import { describeExactly, describeValue } from './describe-value.js'
import { RkllmError, invalidRequest } from './error.js'
import type { NativeImage } from './native.js'
import { toPath } from './path.js'

type Fields = Readonly<Record<string, unknown>>

/** Most bytes of one image; the addon holds files to the same. */
const IMAGE_BYTES_MAX = 20 * 1024 * 1024
/** Most bytes of the images of a conversation that are not in files. */
const TOTAL_BYTES_MAX = 64 * 1024 * 1024
const DATA_URL = /^data:([a-z0-9.+/-]*)((?:;[^,;]*)*?)(;base64)?,/i
const WITH_SCHEME = /^([a-z][a-z0-9+.-]*):\/\//i

/** The images of a conversation in their order, as the addon takes them. */
export class ConversationImages {
  readonly all: NativeImage[] = []
  #bytes = 0

  /** Takes the image of a part of a message; what stands for it in the message. */
  take(place: string, part: Fields): Fields {
    const image = part['type'] === 'image' ? this.#image(place, part) : this.#imageUrl(place, part)
    this.#bytes += image.bytes?.length ?? 0
    if (this.#bytes > TOTAL_BYTES_MAX) {
      throw tooLarge(place, `the images of the conversation have ${this.#bytes} bytes, at most ${TOTAL_BYTES_MAX} are allowed`)
    }
    this.all.push(image)
    return { type: 'image' }
  }

  #image(place: string, { image, mediaType }: Fields): NativeImage {
    const at = `${place}.image`
    if (mediaType !== undefined && (typeof mediaType !== 'string' || !mediaType.startsWith('image/'))) {
      throw invalidRequest(`${place}.mediaType must begin with "image/", got ${describeExactly(mediaType)}`)
    }
    if (types.isUint8Array(image)) return { place: at, bytes: ofSize(at, image) }
    if (image instanceof URL) return image.protocol === 'data:' ? dataUrl(at, image.href) : { place: at, path: file(at, image) }
    if (typeof image !== 'string') {
      throw invalidRequest(`${at} must be a Uint8Array, a data URL, a path or a file: URL, got ${describeValue(image)}`)
    }
    if (/^data:/i.test(image)) return dataUrl(at, image)
    if (/^file:/i.test(image)) return { place: at, path: file(at, parsed(at, image)) }
    refuseScheme(at, image)
    return { place: at, path: resolve(toPath(image, at)) }
  }

  /** Only what is in the message itself: a conversation from elsewhere must not name files of this machine. */
  #imageUrl(place: string, { imageUrl }: Fields): NativeImage {
    const at = `${place}.imageUrl`
    if (typeof imageUrl !== 'object' || imageUrl === null) {
      throw invalidRequest(`${at} must be an object with a url, got ${describeValue(imageUrl)}`)
    }
    const { url } = imageUrl as Fields
    if (typeof url !== 'string') throw invalidRequest(`${at}.url must be a string, got ${describeValue(url)}`)
    if (/^data:/i.test(url)) return dataUrl(`${at}.url`, url)
    refuseScheme(`${at}.url`, url)
    throw invalidRequest(`${at}.url must be a data URL; give paths as { type: 'image', image: path }`)
  }
}

function dataUrl(place: string, url: string): NativeImage {
  // Only the beginning is matched, however long the rest is.
  const [head, , , base64] = DATA_URL.exec(url.slice(0, 1024)) ?? []
  if (head === undefined || base64 === undefined) throw invalidRequest(`${place} must be a data URL in base64`)
  const length = url.length - head.length
  if (length > Math.ceil(IMAGE_BYTES_MAX / 3) * 4 + 4) throw imageTooLarge(place, Math.floor((length / 4) * 3))
  const text = url.slice(head.length)
  const bytes = Buffer.from(text, 'base64')
  // What is no base64 is left out silently.
  if (bytes.length !== Math.floor((unpadded(text) / 4) * 3)) throw invalidRequest(`${place} is no whole base64`)
  return { place, bytes: ofSize(place, bytes) }
}

function unpadded(text: string): number {
  return text.endsWith('==') ? text.length - 2 : text.endsWith('=') ? text.length - 1 : text.length
}

function ofSize(place: string, bytes: Uint8Array): Uint8Array {
  if (bytes.length > IMAGE_BYTES_MAX) throw imageTooLarge(place, bytes.length)
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

function imageTooLarge(place: string, bytes: number): RkllmError {
  return tooLarge(place, `the image has ${bytes} bytes, at most ${IMAGE_BYTES_MAX} are allowed`)
}

function tooLarge(place: string, what: string): RkllmError {
  return new RkllmError('payload-too-large', `${place}: ${what}`)
}

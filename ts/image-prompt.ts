import { checkOptions } from './check-options.js'
import { RkllmError, invalidRequest } from './error.js'
import type { NativeEncodedImages, NativeImageTags } from './native.js'
import * as table from './options.js'
import { pick } from './pick.js'

/** Images as the vision encoder of a model has made them: a vector for each of their tokens. */
export interface EncodedImages {
  /** The vectors of all images, one after the other: `count` × `tokensPerImage` × the length of the model's vectors. */
  readonly embedding: Float32Array
  /** Vectors of each image. */
  readonly tokensPerImage: number
  /**
   * How many images there are, each with an `<image>` in the text.
   *
   * @defaultValue 1
   */
  readonly count?: number | undefined
  /** Width of the images as they were encoded, which models with positions in two dimensions (Qwen-VL) need. */
  readonly width?: number | undefined
  /** Height of the images, the same. */
  readonly height?: number | undefined
}

/** Text with images in it, for a model on an NPU. The runtime puts it into its own template, as it does with text. */
export interface ImagePrompt {
  /** The text, with `<image>` where an image belongs, in their order. */
  readonly text: string
  /** The images. */
  readonly image: EncodedImages
}

/** What stands round images in the vocabulary of a model; Qwen-VL's for example. */
export interface ImageTags {
  /** Before each image: `'<|vision_start|>'`. */
  readonly start?: string | undefined
  /** Behind each image: `'<|vision_end|>'`. */
  readonly end?: string | undefined
  /** What stands for each of an image's tokens: `'<|image_pad|>'`. */
  readonly content?: string | undefined
}

/** Whether `prompt` is an object with text and more, rather than text, tokens or vectors. */
export function isImagePrompt<Other>(prompt: Other | ImagePrompt): prompt is ImagePrompt {
  return typeof prompt === 'object' && prompt !== null && !Array.isArray(prompt) && !ArrayBuffer.isView(prompt)
}

/** Refuses images for a model that takes none. */
export function refuseImages(prompt: unknown): void {
  if (!isImagePrompt(prompt) || prompt.image === undefined) return
  const message = 'image is not supported by models of llama.cpp in this version, only by models on an NPU'
  throw new RkllmError('unsupported', message, { details: { option: 'image' } })
}

/** The text and the images as the addon takes them; ranges are checked there. */
export function toNativeImages(prompt: ImagePrompt): { text: string; images: NativeEncodedImages } {
  const { text, image } = checkOptions(table.IMAGE_PROMPT, prompt)
  if (text === undefined) throw missing('text')
  if (image === undefined) throw missing('image')
  const checked = checkOptions(table.ENCODED_IMAGES, image, 'image.')
  if (checked.embedding === undefined) throw missing('image.embedding')
  return { text, images: { ...pick(checked, table.IMAGE_NUMBERS), embedding: checked.embedding } }
}

/** The tags as the addon takes them. */
export function toNativeImageTags(tags: ImageTags): NativeImageTags {
  const { start = '', end = '', content = '' } = checkOptions(table.IMAGE_TAGS, tags, 'imageTags.')
  return { start, end, content }
}

function missing(option: string): RkllmError {
  return invalidRequest(`${option} must be given`, { option })
}

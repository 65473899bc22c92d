import type { ChatOptions } from './chat-options.js'
import { invalidRequest } from './error.js'
import type { GenerateOptions, LogitBias } from './generate-options.js'
import { toJson } from './json.js'
import type { LoadedLoras } from './lora.js'
import type { NativeGenerateOptions } from './native.js'
import { toNativeResponseFormat } from './native-response-format.js'
import { PLAIN_GENERATE_OPTIONS } from './options.js'
import { pick } from './pick.js'
import { SAMPLER_NAMES } from './sampler-name.js'
import type { SamplerName } from './sampler-name.js'

/** Checked options as the addon takes them; the scales of adapters come from `loras`, those of control vectors from `vectors`. */
export function toNativeGenerateOptions(
  options: GenerateOptions & Pick<ChatOptions, 'responseFormat'>,
  loras: LoadedLoras,
  vectors: LoadedLoras,
): NativeGenerateOptions {
  const native: NativeGenerateOptions = pick(options, PLAIN_GENERATE_OPTIONS)
  const { stop, stopTokens, samplers, logitBias, lora, controlVectors, speculative, jsonSchema, responseFormat } = options
  if (stop !== undefined) native.stop = typeof stop === 'string' ? [stop] : [...stop]
  if (stopTokens !== undefined) native.stopTokens = Array.from(stopTokens)
  if (samplers !== undefined) native.samplers = samplers.map(knownSampler)
  if (logitBias !== undefined) {
    const pairs = biasPairs(logitBias)
    native.logitBiasTokens = pairs.map(([token]) => token)
    native.logitBiasValues = pairs.map(([, bias]) => bias)
  }
  if (lora !== undefined) {
    const selected = loras.select(lora)
    native.loraNames = selected.map(({ name }) => name)
    native.loraScales = selected.map(({ scale }) => scale)
  }
  if (controlVectors !== undefined) {
    const selected = vectors.select(controlVectors)
    native.controlVectorNames = selected.map(({ name }) => name)
    native.controlVectorScales = selected.map(({ scale }) => scale)
  }
  if (speculative !== undefined) {
    native.speculative = speculative.mode
    if (speculative.maxTokens !== undefined) native.speculativeMaxTokens = speculative.maxTokens
  }
  if (jsonSchema !== undefined) native.jsonSchema = toJson('jsonSchema', jsonSchema)
  const format = responseFormat === undefined ? undefined : toNativeResponseFormat(responseFormat)
  if (format !== undefined) native.responseFormat = format
  return native
}

function knownSampler(name: SamplerName): string {
  if (SAMPLER_NAMES.includes(name)) return name
  const message = `samplers has no sampler ${JSON.stringify(name)}; there are ${SAMPLER_NAMES.join(', ')}`
  throw invalidRequest(message, { option: 'samplers' })
}

function biasPairs(logitBias: LogitBias): (readonly [number, number])[] {
  if (Array.isArray(logitBias)) return [...logitBias] as (readonly [number, number])[]
  if (isMap(logitBias)) return [...logitBias]
  return Object.entries(logitBias as Record<string, number>).map(([token, bias]) => {
    if (!/^\d+$/.test(token)) {
      throw invalidRequest(`logitBias has ${JSON.stringify(token)}, which is no token number`, { option: 'logitBias' })
    }
    return [Number(token), bias]
  })
}

function isMap(logitBias: LogitBias): logitBias is ReadonlyMap<number, number> {
  return Symbol.iterator in logitBias && !Array.isArray(logitBias)
}

/** The steps of sampling, in their default order. */
export const SAMPLER_NAMES = [
  'penalties',
  'dry',
  'topNSigma',
  'topK',
  'typicalP',
  'topP',
  'minP',
  'xtc',
  'temperature',
] as const

/** One step of sampling. They run in the order given. */
export type SamplerName = (typeof SAMPLER_NAMES)[number]

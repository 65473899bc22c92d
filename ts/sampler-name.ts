/** One step of sampling. They run in the order given, which by default is the order here. */
export type SamplerName =
  | 'penalties'
  | 'dry'
  | 'topNSigma'
  | 'topK'
  | 'typicalP'
  | 'topP'
  | 'minP'
  | 'xtc'
  | 'temperature'

/** All of them, for checking what a caller wrote. */
export const SAMPLER_NAMES: readonly SamplerName[] = [
  'penalties',
  'dry',
  'topNSigma',
  'topK',
  'typicalP',
  'topP',
  'minP',
  'xtc',
  'temperature',
]

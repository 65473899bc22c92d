// The models that the tests of behaviour run on.
import path from 'node:path'
import { bundledModelPath, loadModel } from 'rkllmjs'
import { syntheticModel } from './synthetic.mjs'

/**
 * One thread: two wait for each other in every step, which takes many times as long when something else runs
 * on the machine.
 */
const CALM = { threads: 1 }

/** The bundled model. */
export const openTiny = (options) => loadModel(bundledModelPath(), { ...CALM, ...options })

/** 30 million random weights and a context of 8192 tokens: slow enough to be caught at work. */
export const openSlow = (options) => loadModel(slowModelPath(), { ...CALM, contextSize: 8192, ...options })

export const slowModelPath = () => syntheticModel('tiny', '--type', 'q8_0', '--context', '8192')

export const microModelPath = () => syntheticModel('micro', '--type', 'q8_0')

/** The LoRA adapter beside the bundled model. */
export const pirateLoraPath = () => path.join(path.dirname(bundledModelPath()), 'rkllmjs-tiny-lora-pirate-f16.gguf')

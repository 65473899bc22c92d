// What `npm run test:arm64` builds and where it puts it.
import path from 'node:path'
import { platformNamed, targetFolder } from '../flavours.mjs'

export const ARM64 = platformNamed('linux-arm64')

/** For the CPU that is emulated, Cortex-A76: the large cores of RK3588. */
export const FLAVOUR = 'dotprod'

/** The addon, where the platform package expects it. */
export const ADDON = path.join(ARM64.folder, `rkllmjs.${FLAVOUR}.node`)

/**
 * What is built beside the addon and opened in the emulated Node: the cargo package and the file of its `cdylib`.
 * The stand-ins of the RKLLM runtime belong here:
 *   { name: 'rkllmjs-rkllm-standin-v12', library: 'librkllmrt_standin_12.so' },
 *   { name: 'rkllmjs-rkllm-standin-v13', library: 'librkllmrt_standin_13.so' },
 */
const BESIDE_THE_ADDON = []

/** Each of them with the path that cargo gives it. */
export const LIBRARIES = BESIDE_THE_ADDON.map(({ name, library }) => ({
  name,
  file: path.join(targetFolder(FLAVOUR, ARM64), ARM64.triple, 'release', library),
}))

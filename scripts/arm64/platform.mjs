// What `npm run test:arm64` builds and where it puts it.
import path from 'node:path'
import { STANDINS, standinFolder } from '../build/standin.mjs'
import { platformNamed } from '../platforms.mjs'

export const ARM64 = platformNamed('linux-arm64')

/** The addon, where the platform package expects it. */
export const ADDON = path.join(ARM64.folder, ARM64.node)

/** The stand-ins for the NPU's runtime, where `rkllmjs/standin` looks for them. */
export const LIBRARIES = STANDINS.map(({ library }) => path.join(standinFolder(ARM64), library))

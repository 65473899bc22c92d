import { join } from 'node:path'

/** Where the addon lies: one of the places where the NPU's library may be. */
export const addonFolder = join(__dirname, '..')

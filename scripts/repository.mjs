// Where things are in this repository.
import path from 'node:path'
import { fileURLToPath } from 'node:url'

const root = path.dirname(path.dirname(fileURLToPath(import.meta.url)))

/** The absolute path of something in the repository. */
export const inRepository = (...parts) => path.join(root, ...parts)

import { join } from 'node:path'

/** The path of the tiny model that ships with the package, for trying things and for tests. */
export function bundledModelPath(): string {
  return join(__dirname, '..', 'models', 'tiny', 'rkllmjs-tiny-q8_0.gguf')
}

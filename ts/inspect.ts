import { holdWhile } from './keep-alive.js'
import type { Inspection } from './model-info.js'
import { native, unwrap } from './native.js'
import { toPath } from './path.js'
import type { FilePath } from './path.js'

/**
 * Reads what a model file says about itself, and estimates the memory it takes, without loading it.
 *
 * @throws {@link RkllmError} `model-not-found`, or `model-invalid` if the file is broken.
 */
export async function inspect(path: FilePath): Promise<Inspection> {
  const file = toPath(path)
  return JSON.parse(unwrap(await holdWhile(native().inspect(file)))) as Inspection
}

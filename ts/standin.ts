/**
 * A stand-in for the NPU's runtime: for tests, and for trying {@link RKLLMClient} on a machine without a board.
 *
 * It computes on the CPU. Nothing finds it by itself: name it as `libraryPath`.
 *
 * @packageDocumentation
 */
import { existsSync } from 'node:fs'
import { dirname, join } from 'node:path'

import { describeExactly } from './describe-value.js'
import { RkllmError, invalidRequest } from './error.js'
import type { RuntimeInfo } from './rkllm-options.js'

/** The interfaces of the vendor's runtime that are stood in for. */
const LIBRARIES: Readonly<Record<RuntimeInfo['abi'], string>> = {
  '1.2': 'librkllmrt_standin_12.so',
  '1.3': 'librkllmrt_standin_13.so',
}

/** Where the addon and these libraries run, by the names of their packages. */
const PLATFORMS: Readonly<Record<string, string>> = { 'linux-x64': 'linux-x64-gnu', 'linux-arm64': 'linux-arm64-gnu' }

const PACKAGE_FOLDER = join(__dirname, '..')

/**
 * The path of the library that stands in for a runtime of that interface.
 *
 * @example
 * ```ts
 * const client = await RKLLMClient.load(standinModelPath(), { libraryPath: standinLibrary('1.3') })
 * ```
 *
 * @throws {@link RkllmError} `invalid-request` for another interface, `library-unavailable` where the library is
 *   not installed.
 */
export function standinLibrary(abi: RuntimeInfo['abi']): string {
  if (typeof abi !== 'string' || !Object.hasOwn(LIBRARIES, abi)) {
    const known = Object.keys(LIBRARIES).map((name) => `'${name}'`)
    throw invalidRequest(`the stand-in has the interfaces ${known.join(' and ')}, got ${describeExactly(abi)}`)
  }
  const files = folders().map((folder) => join(folder, LIBRARIES[abi]))
  const file = files.find((path) => existsSync(path))
  if (file !== undefined) return file
  const remedy =
    'install rkllmjs without --omit=optional, for it comes with the package of the platform; in a checkout, npm run build makes it'
  const message = `the stand-in for RKLLM ${abi} is not installed on ${process.platform}-${process.arch}: ${remedy}`
  throw new RkllmError('library-unavailable', message, { details: { tried: files } })
}

/**
 * The path of a model that the stand-in runs: the bundled model behind the header of an `.rkllm` file, with the
 * files that a model's repository has beside it.
 *
 * @throws {@link RkllmError} `model-not-found` in a checkout that was not built.
 */
export function standinModelPath(): string {
  const file = join(PACKAGE_FOLDER, 'standin', 'model', 'rkllmjs-tiny.rkllm')
  if (existsSync(file)) return file
  throw new RkllmError('model-not-found', `${file} is not there: npm run build makes it in a checkout; else install rkllmjs again`)
}

/** Where the libraries may lie: built in a checkout, or in the package of the platform. */
function folders(): string[] {
  const platform = PLATFORMS[`${process.platform}-${process.arch}`]
  if (platform === undefined) return []
  const built = join(PACKAGE_FOLDER, 'standin', platform)
  try {
    return [built, join(dirname(require.resolve(`rkllmjs-${platform}/package.json`)), 'standin')]
  } catch {
    return [built]
  }
}

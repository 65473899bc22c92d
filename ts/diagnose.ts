import { addonFolder } from './addon-folder.js'
import { checkOptions } from './check-options.js'
import type { Diagnosis } from './diagnosis.js'
import { holdWhile } from './keep-alive.js'
import { native, unwrap } from './native.js'
import { DIAGNOSE_OPTIONS } from './options.js'
import { toPath } from './path.js'
import type { FilePath } from './path.js'
import { version } from './version.js'

/** What a diagnosis is about. */
export interface DiagnoseOptions {
  /**
   * Model files to tell about which engine would run them; at most 256.
   *
   * @defaultValue none
   */
  readonly models?: readonly FilePath[] | undefined
  /**
   * The NPU runtime's library, as for `loadModel`.
   *
   * @defaultValue searched for: `RKLLMJS_RKLLM_LIBRARY`, the addon's folder, the system's folders
   */
  readonly libraryPath?: FilePath | undefined
}

/**
 * Tells what this machine can run, which engine each model would use and why, and what is in the way.
 *
 * Everything is read from files: nothing is opened as a library, started or changed. What is missing or cannot
 * be read is a fact of the report and never a rejection.
 *
 * @example
 * ```ts
 * const { problems } = await diagnose({ models: ['qwen3-rk3588.rkllm'] })
 * for (const { severity, message, fix } of problems) console.log(severity, message, fix ?? '')
 * ```
 *
 * @throws {@link RkllmError} `invalid-request` naming an option of a wrong type; `library-unavailable` where no
 *   addon fits the machine.
 */
export async function diagnose(options?: DiagnoseOptions): Promise<Diagnosis> {
  const { models = [], libraryPath } = checkOptions(DIAGNOSE_OPTIONS, options)
  const files = models.map((model) => toPath(model, 'models'))
  const library = libraryPath === undefined ? null : toPath(libraryPath, 'libraryPath')
  const report = JSON.parse(unwrap(await holdWhile(native().diagnose(files, library, addonFolder)))) as Diagnosis
  const { platform, arch } = process
  return { ...report, system: { ...report.system, platform, arch, node: process.version, package: version } }
}

import { holdWhile } from './keep-alive.js'
import { native, unwrap } from './native.js'
import type { Reading } from './reading.js'

/** What the system tells about the NPU. */
export interface NpuStatus {
  /** The kernel's driver: `rknpu` is the vendor's, `rocket` the mainline kernel's, which the runtime cannot use. */
  readonly driver: Reading<'rknpu' | 'rocket'>
  /** The vendor's driver's version, such as `0.9.8`. */
  readonly driverVersion: Reading<string>
  readonly usable: NpuUsability
  /** Percent of the last second that each core was busy. For root alone on most kernels. */
  readonly loadPercent: Reading<readonly number[]>
  /** Whether it has power. For root alone on most kernels. */
  readonly powered: Reading<boolean>
  readonly frequencyHz: Reading<number>
  readonly frequencyMaxHz: Reading<number>
  /** Who decides on its clock. */
  readonly governor: Reading<string>
  readonly temperatureCelsius: Reading<number>
  /** The clock of the machine's memory, which bounds how fast tokens come. */
  readonly memoryFrequencyHz: Reading<number>
  readonly memoryGovernor: Reading<string>
  /** Percent of the memory's bandwidth in use. */
  readonly memoryLoadPercent: Reading<number>
}

/** Whether the NPU's runtime can work with the kernel's driver, and why not. */
export interface NpuUsability {
  readonly value: boolean
  /** `null` if it can. */
  readonly reason: string | null
}

/**
 * Reads what the system tells about the NPU. Needs no privileges, wakes nothing and changes nothing; on a
 * machine without an NPU every value is `null` with a reason.
 *
 * @example
 * ```ts
 * const { temperatureCelsius } = await npuStatus()
 * console.log(temperatureCelsius.value ?? temperatureCelsius.reason)
 * ```
 */
export async function npuStatus(): Promise<NpuStatus> {
  return JSON.parse(unwrap(await holdWhile(native().npuStatus()))) as NpuStatus
}

import type { NpuStatus } from './npu-status.js'
import type { Reading } from './reading.js'

/** What a machine can run and why not more. A `null` stands where nothing is known. */
export interface Diagnosis {
  readonly system: DiagnosedSystem
  readonly soc: Reading<DiagnosedChip>
  readonly npu: DiagnosedNpu
  /** The clocks that decide how fast a model runs; none on chips of which the vendor recommends nothing. */
  readonly clocks: readonly DiagnosedClock[]
  readonly runtime: DiagnosedRuntime
  /** What models can run on. */
  readonly devices: readonly DiagnosedDevice[]
  /** Each of the given models, in their order. */
  readonly files: readonly DiagnosedFile[]
  /** What is wrong or could be better, the worst first. */
  readonly problems: readonly DiagnosedProblem[]
}

/** The machine and what runs on it. */
export interface DiagnosedSystem {
  /** As `process.platform`. */
  readonly platform: string
  /** As `process.arch`. */
  readonly arch: string
  /** The version of Node.js. */
  readonly node: string
  /** The version of this package. */
  readonly package: string
  /** The name of the distribution. */
  readonly os: string | null
  readonly kernel: string | null
  /** What the device tree calls the board. */
  readonly board: string | null
  /** What the kernel calls the processor. */
  readonly processor: string | null
  /**
   * What computes on the CPU: the addon has code for several levels of CPU, such as `avx2`, and takes the best that runs,
   * or the one that `RKLLMJS_FLAVOUR` names. `null` if none runs.
   */
  readonly cpuFlavour: string | null
  /** The instruction sets that it uses, in llama.cpp's words; empty if none runs. */
  readonly cpuFeatures: string
  /** Processors that this process may use. */
  readonly processors: number
  /** Those of them that models compute on: the fast ones, within the container's quota. */
  readonly fastProcessors: number
  readonly memoryTotalBytes: number | null
  /** What can be taken without pushing others out, within the container's limit. */
  readonly memoryAvailableBytes: number | null
}

/** A chip of Rockchip's. */
export interface DiagnosedChip {
  /** As the device tree has it, such as `rk3588s`. */
  readonly name: string
  /** What models for it are made for; `null` for a chip without an RKLLM runtime. */
  readonly platform: 'rk3588' | 'rk3576' | 'rk3562' | 'rv1126b' | null
  readonly npuCores: number | null
}

/** The NPU, and the device files of its driver. */
export interface DiagnosedNpu extends NpuStatus {
  readonly nodes: readonly DiagnosedNode[]
}

/** A device file of the NPU's driver. */
export interface DiagnosedNode {
  readonly path: string
  /** Whether this process may open it to read and write. */
  readonly usable: boolean
  /** Why not; `null` if it may. */
  readonly reason: string | null
}

/** A clock, against what the vendor's figures are measured with. */
export interface DiagnosedClock {
  /** What it drives: `npu`, `memory`, `gpu`, or `cpu4` for the processors of policy 4. */
  readonly name: string
  readonly frequencyHz: Reading<number>
  /** The highest it may become. */
  readonly frequencyMaxHz: Reading<number>
  /** Who decides. */
  readonly governor: Reading<string>
  readonly recommended: { readonly governor: string; readonly frequencyHz: number }
  /** Whether it is held at what is recommended, within 5 %; `null` where that cannot be read. */
  readonly asRecommended: boolean | null
  /** Whether it is known that it cannot become what is recommended, not even under load. */
  readonly heldDown: boolean
  /** What sets it as recommended until the next start of the machine; none where there is no such clock. */
  readonly commands: readonly string[]
}

/** The library that models on an NPU would run on, told from its bytes. */
export interface DiagnosedRuntime {
  /** `null` if there is none to use. */
  readonly path: string | null
  /** `null` where the bytes do not say. */
  readonly version: string | null
  /** Which of the vendor's two interfaces it has. */
  readonly abi: '1.2' | '1.3' | null
  /** How that is known. Opening it could tell more, and a diagnosis opens nothing. */
  readonly detectedBy: 'banner' | null
  /** Whether it is the stand-in, which computes on the CPU. */
  readonly standIn: boolean
  /** Why there is none, or none whose version is known. */
  readonly reason: string | null
  /** The places before it, or all, and why each was refused. */
  readonly tried: readonly RefusedLibrary[]
}

/** A place where there is no library to use. */
export interface RefusedLibrary {
  readonly path: string
  /** Continues the path: `is empty`. */
  readonly reason: string
  /** The version of a library that is there and refused. */
  readonly version: string | null
}

/** Something that models can run on. */
export interface DiagnosedDevice {
  readonly kind: 'cpu' | 'gpu' | 'npu'
  readonly name: string | null
  /** What runs models on it. */
  readonly engine: string
  readonly usable: boolean
  /** Why not; `null` if it is. */
  readonly reason: string | null
  /** Threads that a model computes with by default; `null` where that is not ours to say. */
  readonly threads: number | null
}

/** A model file. */
export interface DiagnosedFile {
  readonly path: string
  /** What would run it, as `info.engine`; `null` if it is no model. */
  readonly engine: 'llama.cpp' | 'rkllm' | null
  /** What says so. */
  readonly why: string
  /** Whether nothing is known that keeps it from running here. */
  readonly runs: boolean
  /** What keeps it from running. */
  readonly missing: readonly string[]
  /** What else is worth knowing of it. */
  readonly notes: readonly string[]
  readonly sizeBytes: number | null
  readonly memory: DiagnosedMemory | null
  /** Only for models on an NPU. */
  readonly npu: DiagnosedNpuModel | null
}

/** About how much memory a model takes if it is loaded without options. */
export interface DiagnosedMemory {
  readonly neededBytes: number
  /** The context that this includes; `null` where only the file's own size is known. */
  readonly contextSize: number | null
}

/** What a model for an NPU tells, by its name, its last bytes and the files beside it. */
export interface DiagnosedNpuModel {
  /** The chip it is made for. */
  readonly platform: string | null
  /** How its weights are stored, such as `w8a8`. */
  readonly quantization: string | null
  readonly npuCores: number | null
  /** The version of the toolkit that made it; the runtime must not be older. */
  readonly toolkitVersion: string | null
  readonly contextSizeTrained: number | null
  /** The paths of the files beside it. */
  readonly tokenizer: string | null
  readonly tokenizerConfig: string | null
  readonly chatTemplate: string | null
}

/** Something that is not as it could be. */
export interface DiagnosedProblem {
  /** `error`: something does not run. `warning`: it runs badly, or may not. `note`: good to know. */
  readonly severity: 'error' | 'warning' | 'note'
  readonly message: string
  /** What you can do; often a command. */
  readonly fix: string | null
}

// Whether what watches the soak of the engine for the NPU sees anything.
import { soakChecker } from './npu.mjs'

soakChecker()

// The engine for the NPU over the stand-in with the interface of 1.2, under valgrind.
import { soakRuntime } from './npu.mjs'

soakRuntime('1.2')

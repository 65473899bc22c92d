// The engine for the NPU over the stand-in with the interface of 1.3, under valgrind.
import { soakRuntime } from './npu.mjs'

soakRuntime('1.3')

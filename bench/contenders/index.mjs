import * as limit from './limit.mjs'
import * as llamaBench from './llama-bench.mjs'
import * as llamaServer from './llama-server.mjs'
import * as nodeLlamaCpp from './node-llama-cpp.mjs'
import * as rkllmjs from './rkllmjs.mjs'

/**
 * Who takes part. Each module has a `name`, `find()`, which resolves to its version or throws what is missing, and
 * `start(config)`, which resolves to a session: `run(request)`, `close()` and, where it stays, `loadMs` and `pid`.
 * One that can be started cold has `cold`, a command. The limit answers text where others are asked by chat().
 */
export const contenders = [rkllmjs, limit, nodeLlamaCpp, llamaServer, llamaBench]

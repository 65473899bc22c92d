// npm, the one that started this script where one did.
import { run } from '../run.mjs'

export async function runNpm(args) {
  const npm = process.env.npm_execpath ? [process.execPath, process.env.npm_execpath] : ['npm']
  const [program, ...before] = npm
  await run(program, [...before, ...args])
}

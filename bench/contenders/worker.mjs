import { Program } from '../measure/program.mjs'

/** A session with a program that loads one model at its start. */
export async function startWorker(command, args, config) {
  const program = new Program(command, args)
  try {
    const { loadMs } = await program.ask({ op: 'load', ...config })
    return {
      loadMs,
      pid: program.pid,
      run: (request) => program.ask({ op: 'run', ...request }),
      close: () => program.close(),
    }
  } catch (error) {
    await program.close()
    throw error
  }
}

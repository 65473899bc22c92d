import { spawn } from 'node:child_process'
import { createInterface } from 'node:readline'

const STDERR_LINES = 20

/** A program that answers lines of JSON with lines of JSON, one at a time. */
export class Program {
  #child
  #lines
  #stderr = []

  constructor(command, args, options = {}) {
    this.#child = spawn(command, args, { stdio: ['pipe', 'pipe', 'pipe'], ...options })
    this.#lines = createInterface({ input: this.#child.stdout })[Symbol.asyncIterator]()
    createInterface({ input: this.#child.stderr }).on('line', (line) => {
      this.#stderr.push(line)
      if (this.#stderr.length > STDERR_LINES) this.#stderr.shift()
    })
    // A write to a program that has ended is told of by its missing answer.
    this.#child.stdin.on('error', () => {})
    this.#child.on('error', (error) => this.#stderr.push(error.message))
  }

  get pid() {
    return this.#child.pid
  }

  /** Asks for one thing. Rejects with what the program says if it cannot. */
  async ask(request) {
    this.#child.stdin.write(`${JSON.stringify(request)}\n`)
    for (;;) {
      const { value, done } = await this.#lines.next()
      if (done) throw new Error(`it ended at ${request.op}: ${this.#stderr.join('\n')}`)
      // Some print besides.
      if (!value.startsWith('{')) continue
      const reply = JSON.parse(value)
      if (reply.error !== undefined) throw new Error(reply.error)
      return reply
    }
  }

  /** Ends it and waits until it is gone. */
  async close() {
    if (this.#child.exitCode !== null || this.#child.signalCode !== null) return
    const gone = new Promise((resolve) => this.#child.once('exit', resolve))
    this.#child.stdin.end()
    const timer = setTimeout(() => this.#child.kill('SIGKILL'), 10_000)
    await gone
    clearTimeout(timer)
  }
}

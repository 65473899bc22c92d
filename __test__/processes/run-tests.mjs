import { execFile } from 'node:child_process'

const OUTPUT_BYTES_MAX = 32 << 20

/** Runs test files in a process of their own: its exit code, how many tests passed and failed, and all it wrote. */
export function runTests(files, env) {
  // Node.js tells a test run inside another by this, and then runs nothing.
  const { NODE_TEST_CONTEXT: _, ...inherited } = process.env
  const args = ['--test', '--test-reporter=tap', ...files]
  const options = { env: { ...inherited, ...env }, maxBuffer: OUTPUT_BYTES_MAX }
  return new Promise((resolve) => {
    execFile(process.execPath, args, options, (error, stdout, stderr) => {
      const count = (name) => Number(new RegExp(`^# ${name} (\\d+)$`, 'm').exec(stdout)?.[1] ?? Number.NaN)
      const code = error === null ? 0 : (error.code ?? error.signal)
      resolve({ code, passed: count('pass'), failed: count('fail'), output: failures(stdout) + stderr })
    })
  })
}

/** What failed of a report; all of it where nothing stands out. */
function failures(report) {
  const lines = report.split('\n')
  const wrong = lines.flatMap((line, at) => (/^\s*not ok/.test(line) ? lines.slice(at, at + 30) : []))
  return `${(wrong.length > 0 ? wrong : lines).join('\n')}\n`
}

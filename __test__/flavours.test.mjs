// The flavours of the addon: what computes, once for each level of CPU.
import assert from 'node:assert/strict'
import { describe, test } from 'node:test'

import { compiledFlavours, hostPlatform } from '../scripts/platforms.mjs'
import { run } from './processes/run.mjs'

const { flavours } = hostPlatform()

async function underFlavour(name) {
  const { end, stdout, stderr } = await run('flavour', [], { env: { ...process.env, RKLLMJS_FLAVOUR: name } })
  assert.equal(end, 'exit 0', stderr)
  return JSON.parse(stdout)
}

describe('flavours', () => {
  for (const name of compiledFlavours()) {
    test(`${name} answers, or says what this CPU lacks`, async () => {
      const { flavour, cpu, text, code, message } = await underFlavour(name)
      if (code === undefined) {
        assert.deepEqual([flavour, cpu.usable], [name, true])
        assert.match(text, /Paris/)
      } else {
        assert.deepEqual([flavour, cpu.usable, code], [null, false, 'unsupported'])
        assert.match(message, new RegExp(`RKLLMJS_FLAVOUR is ${name}, and this CPU lacks \\w+`))
        assert.equal(cpu.reason, message)
      }
    })
  }

  test('the least runs everywhere, and without a wish the best is taken', async () => {
    const known = await Promise.all(compiledFlavours().map(underFlavour))
    const runnable = known.filter(({ flavour }) => flavour !== null).map(({ flavour }) => flavour)
    assert.equal(runnable.at(-1), flavours.at(-1))
    assert.equal((await underFlavour('')).flavour, runnable[0])
  })

  test('one that does not exist is refused, and the process lives', async () => {
    const { code, message } = await underFlavour('mmx')
    assert.equal(code, 'unsupported')
    assert.match(message, /RKLLMJS_FLAVOUR must be one of .*baseline, got "mmx"/)
  })
})

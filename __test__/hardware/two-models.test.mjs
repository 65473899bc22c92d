// Question 13: whether two models work in one process, in the same domain of the NPU's memory and in different
// ones. Each in a process of its own, which may die.
import { test } from 'node:test'

import { LOAD, finding, firstLine, inChild, modelPath, noBoard } from './board.mjs'

const PROGRAM = `
import { loadModel } from './dist/index.mjs'
const [first, second, domain] = process.env.CASE.split('\\n')
const load = ${JSON.stringify(LOAD)}
try {
  const a = await loadModel(first, { ...load, npuDomain: 0 })
  const alone = (await a.generate('Once upon a time', { maxTokens: 16 })).text
  const b = await loadModel(second, { ...load, npuDomain: Number(domain) })
  const answers = await Promise.all([1, 2, 3].flatMap(() => [a, b].map((model) => model.generate('Once upon a time', { maxTokens: 16 }))))
  const same = answers.filter((_, i) => i % 2 === 0).every(({ text }) => text === alone)
  console.error('OUTCOME six answers of two models; those of the first ' + (same ? 'as alone' : 'NOT as alone'))
  await a.close()
  await b.close()
} catch ({ code, message }) {
  console.error('OUTCOME ' + code + ': ' + message)
}`

const second = process.env.RKLLMJS_HARDWARE_SECOND_MODEL ?? modelPath

for (const domain of [0, 1]) {
  test(`two models, the second in domain ${domain}`, { skip: noBoard }, async () => {
    const { signal, stderr } = await inChild(PROGRAM, { env: { CASE: [modelPath, second, domain].join('\n') }, timeoutMs: 300_000 })
    const outcome = signal === null ? firstLine(stderr, /^OUTCOME/).replace('OUTCOME ', '') : `the process died of ${signal}`
    const which = second === modelPath ? 'the same model twice' : 'two models'
    finding(13, `${which}, domains 0 and ${domain}: ${outcome}`)
  })
}

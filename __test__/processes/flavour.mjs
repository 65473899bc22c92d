/** Prints what computes and what it answers, or why nothing does. */
import { bundledModelPath, diagnose, loadModel } from '../../dist/index.mjs'

const { system, devices } = await diagnose()
const said = await answer().catch(({ code, message }) => ({ code, message }))
process.stdout.write(JSON.stringify({ flavour: system.cpuFlavour, cpu: devices[0], ...said }))

async function answer() {
  const model = await loadModel(bundledModelPath())
  const { text } = await model.chat([{ role: 'user', content: 'What is the capital of France?' }], { temperature: 0 })
  await model.close()
  return { text }
}

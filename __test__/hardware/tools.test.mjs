// Question 8: whether the runtime knows the question when it is given the results of functions, with and without
// a history. Tells something only with a model that calls functions, such as Qwen3.
import { after, before, test } from 'node:test'

import { loadModel } from '../../dist/index.mjs'
import { LOAD, finding, modelPath, noBoard } from './board.mjs'

const TOOLS = [
  {
    type: 'function',
    function: {
      name: 'weather',
      description: 'The weather of a city.',
      parameters: { type: 'object', properties: { city: { type: 'string' } }, required: ['city'] },
    },
  },
]

let model

before(async () => {
  if (!noBoard) model = await loadModel(modelPath, LOAD)
})

after(() => model?.close())

for (const keepHistory of [false, true]) {
  test(`functions with keepHistory ${keepHistory}`, { skip: noBoard }, async () => {
    await model.clearCache()
    try {
      await model.setFunctionTools('You call functions when they help.', TOOLS, 'tool_response')
    } catch (error) {
      finding(8, `the runtime takes no functions: ${error.message}`)
      return
    }
    const asked = await model.generate('What is the weather in Oslo?', { role: 'user', keepHistory, maxTokens: 96 })
    const results = JSON.stringify([{ name: 'weather', content: { sky: 'purple', celsius: 41 } }])
    const told = await model.generate(results, { role: 'tool', keepHistory, maxTokens: 96 })
    finding(8, `keepHistory ${keepHistory}: asked ${JSON.stringify(asked.text)}`)
    finding(8, `keepHistory ${keepHistory}: told ${JSON.stringify(told.text)}; names Oslo: ${/oslo/i.test(told.text)}, uses the result: ${/purple|41/.test(told.text)}`)
  })
}

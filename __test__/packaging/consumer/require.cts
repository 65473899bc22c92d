// A CommonJS module: the same names through require().
import rkllmjs = require('rkllmjs')
import standin = require('rkllmjs/standin')

async function main(): Promise<string> {
  const model: rkllmjs.LlamaModel = await rkllmjs.LlamaModel.load(rkllmjs.bundledModelPath())
  try {
    const library: string = standin.standinLibrary('1.2')
    const { text } = await model.generate('Once upon a time', { maxTokens: 8 })
    return text + library + standin.standinModelPath()
  } catch (error) {
    if (error instanceof rkllmjs.RkllmError) return error.code
    throw error
  } finally {
    await model.close()
  }
}

void main()

// Finds the text nearest in meaning. The bundled model is no embedding model: pass the path of one.
import { bundledModelPath, loadModel } from 'rkllmjs'

const [path = bundledModelPath(), question = 'What is the capital of France?'] = process.argv.slice(2)
const documents = ['Bob lives in Rome.', 'A spider has 8 legs.', 'The capital of France is Paris.']

const model = await loadModel(path, { embedding: true })
const { embeddings, usage } = await model.embed([question, ...documents])
const [asked, ...vectors] = embeddings
await model.close()

// Vectors have length 1, so their dot product is the cosine of the angle between them.
const similarity = (vector) => vector.reduce((sum, value, i) => sum + value * asked[i], 0)
const ranked = documents.map((text, i) => ({ text, score: similarity(vectors[i]) })).sort((a, b) => b.score - a.score)
console.log(`${question}   (${usage.promptTokens} tokens in all)`)
for (const { text, score } of ranked) console.log(`${score.toFixed(3)}  ${text}`)

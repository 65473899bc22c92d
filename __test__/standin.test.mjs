// `rkllmjs/standin`: which files it names.
import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { basename, dirname, join } from 'node:path'
import { describe, test } from 'node:test'

import { RkllmError, bundledModelPath, inspect, loadModel } from '../dist/index.mjs'
import { standinLibrary, standinModelPath } from '../dist/standin.mjs'

const MAGIC = Buffer.from([0xda, 0xee, 0xb3, 0x36])
const beside = (name) => JSON.parse(readFileSync(join(dirname(standinModelPath()), name), 'utf8'))

describe('standinLibrary()', () => {
  test('names a library for each interface', () => {
    assert.deepEqual(
      ['1.2', '1.3'].map((abi) => basename(standinLibrary(abi))),
      ['librkllmrt_standin_12.so', 'librkllmrt_standin_13.so'],
    )
  })

  test('refuses another interface and names those it has', () => {
    for (const abi of ['1.1', '', 1.2, undefined, 'toString', Symbol('1.2')]) {
      assert.throws(() => standinLibrary(abi), (error) => {
        assert.ok(RkllmError.is(error))
        assert.equal(error.code, 'invalid-request')
        assert.match(error.message, /'1\.2' and '1\.3'/)
        return true
      })
    }
  })

  test('is on no search path: without it a model finds no runtime', async () => {
    await assert.rejects(loadModel(standinModelPath()), { code: 'library-unavailable' })
  })
})

describe('standinModelPath()', () => {
  test('is the bundled model behind a header', () => {
    const [model, gguf] = [readFileSync(standinModelPath()), readFileSync(bundledModelPath())]
    assert.deepEqual(model.subarray(0, 4), MAGIC)
    const start = model.indexOf('GGUF')
    assert.ok(model.subarray(start, start + gguf.length).equals(gguf))
  })

  test('has a config.json beside it that says what the model is', async () => {
    const { architecture, contextSizeTrained, embeddingLength, layers, vocabularySize, metadata } = await inspect(bundledModelPath())
    const config = beside('config.json')
    assert.deepEqual(
      [config.model_type, config.max_position_embeddings, config.hidden_size, config.num_hidden_layers, config.vocab_size],
      [architecture, contextSizeTrained, embeddingLength, layers, vocabularySize],
    )
    assert.deepEqual(
      [config.bos_token_id, config.eos_token_id, config.num_attention_heads, config.num_key_value_heads, config.intermediate_size],
      ['tokenizer.ggml.bos_token_id', 'tokenizer.ggml.eos_token_id', 'llama.attention.head_count', 'llama.attention.head_count_kv', 'llama.feed_forward_length'].map(
        (key) => metadata[key],
      ),
    )
  })

  test('has the tokenizer and the template beside it', () => {
    assert.equal(typeof beside('tokenizer_config.json').chat_template, 'string')
    assert.equal(beside('tokenizer.json').model.type, 'BPE')
  })
})

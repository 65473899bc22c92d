// What a cross build is told; that it works is shown by `npm run test:arm64`.
import assert from 'node:assert/strict'
import { it } from 'node:test'
import { crossEnvironment } from '../../scripts/build/cross.mjs'
import { platformNamed } from '../../scripts/platforms.mjs'
import { isRecent, oldestRust } from '../../scripts/setup/cross-rust.mjs'

it('leaves the compiler of this machine alone', () => {
  const variables = crossEnvironment({ CC: 'ccache x-gcc', CXX: 'x-g++', LEVEL: '3' }, platformNamed('linux-arm64'), '/usr/bin/rustc')
  assert.deepEqual(variables, {
    CC_aarch64_unknown_linux_gnu: 'ccache x-gcc',
    CXX_aarch64_unknown_linux_gnu: 'x-g++',
    LEVEL: '3',
    RUSTC: '/usr/bin/rustc',
    CARGO_TARGET_AARCH64_UNKNOWN_LINUX_GNU_LINKER: 'aarch64-linux-gnu-gcc',
    BINDGEN_EXTRA_CLANG_ARGS_aarch64_unknown_linux_gnu: '-I/usr/aarch64-linux-gnu/include',
  })
})

it('knows which Rust is too old, however a distribution writes its version', () => {
  const oldest = oldestRust()
  assert.ok([`${oldest}.0`, `${oldest}.1+dfsg1-1~deb12u2`, '1.100.0', '2.0.0'].every(isRecent))
  assert.ok(!['1.63.0', '1.85.1+dfsg1', '0.99.0'].some(isRecent))
})

it('names the platforms when one is unknown', () => {
  assert.throws(() => platformNamed('linux-riscv64'), /linux-x64 and linux-arm64.*linux-riscv64/)
})

// An arm64 Node under an emulated CPU. The emulator refuses what that CPU lacks; of speed it says nothing.
import { existsSync } from 'node:fs'
import { arm64Node } from './node.mjs'
import { ARM64 } from './platform.mjs'

export const EMULATOR = 'qemu-aarch64-static'

/** The command that stands for `node`: a program and its first arguments. */
export function emulatedNode(cpu) {
  // A guest that crashes would leave a core file of gigabytes.
  return ['/bin/sh', '-c', 'ulimit -c 0 && exec "$0" "$@"', EMULATOR, '-cpu', cpu, ...libraries(), arm64Node]
}

/** Whether arm64's own loader is installed, by foreign packages. */
export function hasArm64System() {
  return existsSync('/lib/ld-linux-aarch64.so.1')
}

/** Whether arm64's own libstdc++ is. */
export function hasArm64SystemCxx() {
  return existsSync(`/usr/lib/${ARM64.tools}/libstdc++.so.6`)
}

/**
 * Where the guest finds its libraries. Foreign packages put them where it looks by itself; to name the cross
 * compiler's folder then mixes two copies of libc, and Node hangs.
 */
function libraries() {
  return hasArm64System() ? [] : ['-L', `/usr/${ARM64.tools}`]
}

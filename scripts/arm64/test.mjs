// The tests of __test__/arm64: this machine starts programs in an emulated Node and judges what they print.
import { testFiles, testNode } from '../checks/node-tests.mjs'
import { isWarm } from './build.mjs'
import { isNative, isSetUp } from './setup.mjs'

export function testArm64() {
  return testNode(testFiles('arm64'))
}

/** Why `npm test` leaves them out; undefined when it runs them. */
export function whyNotArm64() {
  if (isNative()) return 'this machine is arm64, and the other steps tested it'
  if (!isSetUp() || !isWarm()) return 'nothing is built for arm64; npm run test:arm64 does, which takes minutes the first time'
  return undefined
}

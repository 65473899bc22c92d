// Debian's and Ubuntu's packages.
import { say } from '../command.mjs'
import { read, run } from '../run.mjs'

const ENVIRONMENT = { DEBIAN_FRONTEND: 'noninteractive' }
const WAIT_FOR_OTHERS = ['-o', 'DPkg::Lock::Timeout=300']

/** Reads the lists of packages anew: what the machine believes may be months old. */
export async function aptUpdate() {
  say('apt-get update')
  await run('apt-get', ['update', '-qq', ...WAIT_FOR_OTHERS], { env: ENVIRONMENT })
}

/** Installs packages. Fails rather than remove what is there. */
export async function aptInstall(packages) {
  say(`apt-get install ${packages.join(' ')}`)
  const options = ['-y', '-qq', '--no-install-recommends', '--no-remove', ...WAIT_FOR_OTHERS]
  await run('apt-get', ['install', ...options, ...packages], { env: ENVIRONMENT })
}

/** The version of a package that would be installed; undefined when there is none. */
export async function aptCandidate(name) {
  const policy = await read('apt-cache', ['policy', name])
  return policy.match(/Candidate: (?!\(none\))(\S+)/)?.[1]
}

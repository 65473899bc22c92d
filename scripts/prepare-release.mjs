// Before publishing: node scripts/prepare-release.mjs v1.2.3. Refuses what is not complete, then writes into
// package.json what only a release knows: its platform packages, and the repository that provenance attests.
import { existsSync, readFileSync, readdirSync, writeFileSync } from 'node:fs'
import { MODEL_FILES, STANDINS } from './build/standin.mjs'
import { Failure, command, say } from './command.mjs'
import { inRepository } from './repository.mjs'

function main([tag]) {
  const version = readJson('package.json').version
  if (tag !== `v${version}`) throw new Failure(`the tag is ${tag} and package.json says ${version}`)
  const platforms = readdirSync(inRepository('npm'))
  platforms.forEach((platform) => checkPlatform(platform, version))
  MODEL_FILES.forEach(checkFile)
  for (const platform of platforms) edit(`npm/${platform}/package.json`, repository())
  const names = platforms.map((platform) => [`rkllmjs-${platform}`, version])
  edit('package.json', { ...repository(), optionalDependencies: Object.fromEntries(names) })
  say(`ready to publish ${version} with ${platforms.join(', ')}`)
}

function checkPlatform(platform, version) {
  const { version: found } = readJson(`npm/${platform}/package.json`)
  if (found !== version) throw new Failure(`npm/${platform} is ${found}, not ${version}`)
  checkFile(`npm/${platform}/rkllmjs.${platform}.node`)
  for (const { library } of STANDINS) checkFile(`npm/${platform}/standin/${library}`)
}

function checkFile(file) {
  if (!existsSync(inRepository(file))) throw new Failure(`${file} is missing`)
}

function repository() {
  const { GITHUB_SERVER_URL: server, GITHUB_REPOSITORY: name } = process.env
  return server && name ? { repository: { type: 'git', url: `git+${server}/${name}.git` } } : {}
}

function edit(file, fields) {
  writeFileSync(inRepository(file), `${JSON.stringify({ ...readJson(file), ...fields }, null, 2)}\n`)
}

function readJson(file) {
  return JSON.parse(readFileSync(inRepository(file), 'utf8'))
}

await command(import.meta, main)

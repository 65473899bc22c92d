'use strict'

const { readFileSync } = require('node:fs')
const flavours = require('./flavours.json')
const { featuresOf, lacking, runnable } = require('./pick.js')

module.exports = load()

/** The best flavour for this CPU; the next one down when a file is missing or does not load. */
function load() {
  const features = cpuFeatures()
  const candidates = features ? runnable(flavours, features) : flavours.slice(-1)
  if (candidates.length === 0) {
    throw new Error(`rkllmjs does not run on this CPU: it lacks ${lacking(flavours, features).join(', ')}`)
  }
  const failures = []
  for (const { name } of candidates) {
    try {
      return require(`./rkllmjs.${name}.node`)
    } catch (error) {
      failures.push(`${name}: ${error.message}`)
    }
  }
  throw new Error(`rkllmjs could not load its addon\n  ${failures.join('\n  ')}`)
}

/** Undefined where /proc is closed to us: then only the least demanding flavour is safe. */
function cpuFeatures() {
  try {
    return featuresOf(readFileSync('/proc/cpuinfo', 'utf8'))
  } catch {
    return undefined
  }
}

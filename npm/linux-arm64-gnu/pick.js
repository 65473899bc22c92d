'use strict'

/**
 * The features that every core of this machine has, from the text of /proc/cpuinfo. On a machine with
 * several kinds of core a thread may move to any of them.
 */
function featuresOf(cpuinfo) {
  const lines = cpuinfo.matchAll(/^(?:flags|Features)[ \t]*:(.*)$/gm)
  const cores = Array.from(lines, ([, names]) => new Set(names.trim().split(/\s+/)))
  const [first = new Set(), ...others] = cores
  return new Set([...first].filter((name) => others.every((core) => core.has(name))))
}

/** The flavours that run on a CPU with these features, best first. */
function runnable(flavours, features) {
  return flavours.filter(({ needs }) => needs.every((name) => features.has(name)))
}

/** What the CPU lacks for the least demanding flavour. */
function lacking(flavours, features) {
  return flavours[flavours.length - 1].needs.filter((name) => !features.has(name))
}

module.exports = { featuresOf, lacking, runnable }

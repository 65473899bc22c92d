import { spread } from './measure/statistics.mjs'

/** A measured scenario as numbers: for each measure the spread of each contender, and of ours over it. */
export function summarize({ name, title, measures }, rows) {
  const ours = rows.find((row) => row.name === 'rkllmjs')
  return {
    name,
    title,
    contenders: rows.map((row) => ({
      name: row.name,
      ...(row.error === undefined ? {} : { error: row.error }),
      loadMs: row.loadMs,
      memory: row.memory,
      measures: row.error === undefined ? measures.map((measure) => summarizeMeasure(measure, row, ours)) : [],
    })),
  }
}

function summarizeMeasure({ label, better, of }, row, ours) {
  const values = row.rounds.map(of)
  const summary = { label, better, ...(values.every(Number.isFinite) && values.length > 0 ? spread(values) : {}) }
  if (row === ours || summary.median === undefined || ours === undefined || ours.error !== undefined) return summary
  // Round by round, so that what slows both down cancels out.
  const ratios = ours.rounds.map((round, index) => of(round) / values[index]).filter(Number.isFinite)
  return ratios.length > 0 ? { ...summary, oursOverThis: spread(ratios) } : summary
}

/** The same as a table for people. */
export function toText({ title, contenders }) {
  const lines = [`\n${title}`]
  for (const { name, error, loadMs, memory, measures } of contenders) {
    if (error !== undefined) {
      lines.push(`  ${name}: ${error.split('\n')[0]}`)
      continue
    }
    const load = loadMs === undefined ? '' : `  loaded in ${loadMs.toFixed(0)} ms`
    const resident = memory === undefined ? '' : `, ${(memory.residentBytes / 2 ** 20).toFixed(0)} MiB resident`
    lines.push(`  ${name}${load}${resident}`)
    for (const { label, median, low, high, oursOverThis } of measures) {
      if (median === undefined) continue
      const value = `${round(median)} (${round(low)} to ${round(high)})`
      const ratio =
        oursOverThis === undefined
          ? ''
          : `  ours over it ${oursOverThis.median.toFixed(3)} (${oursOverThis.low.toFixed(3)} to ${oursOverThis.high.toFixed(3)})`
      lines.push(`    ${label.padEnd(30)} ${value.padEnd(32)}${ratio}`)
    }
  }
  return lines.join('\n')
}

function round(value) {
  return value >= 100 ? value.toFixed(0) : value >= 1 ? value.toFixed(2) : value.toFixed(4)
}

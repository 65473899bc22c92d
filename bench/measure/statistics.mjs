/** The middle of some numbers; of an even count the mean of the two in the middle. */
export function median(values) {
  const sorted = values.toSorted((a, b) => a - b)
  const middle = sorted.length >> 1
  return sorted.length % 2 === 1 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2
}

/**
 * A median with its interval: the narrowest pair of order statistics that holds the true median in at least
 * 95 of 100 cases (sign test), or the least and the most where there are too few values for that.
 */
export function spread(values) {
  const sorted = values.toSorted((a, b) => a - b)
  const skip = ranksToSkip(sorted.length)
  return { median: median(sorted), low: sorted[skip], high: sorted[sorted.length - 1 - skip], count: sorted.length }
}

/** How many values at each end can be left out: the chance that the median lies there stays under 5 %. */
function ranksToSkip(count) {
  let tail = 0
  let ways = 1
  for (let skipped = 0; skipped < count / 2; skipped += 1) {
    tail += ways / 2 ** count
    if (2 * tail > 0.05) return Math.max(0, skipped - 1)
    ways = (ways * (count - skipped)) / (skipped + 1)
  }
  return 0
}

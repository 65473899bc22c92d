/**
 * The one of `names` that `typed` was probably meant to be.
 *
 * Other spellings of the same words, such as `max_tokens` for `maxTokens`, always match.
 */
export function suggestion(typed: string, names: readonly string[]): string | undefined {
  // No name of ours is near so long a one, and the comparison takes time by its square.
  if (typed.length > 64) return undefined
  const wanted = plain(typed)
  const distanceMax = Math.min(3, Math.max(1, Math.floor(wanted.length / 3)))
  let best: string | undefined
  let bestDistance = distanceMax + 1
  for (const name of names) {
    const distance = editDistance(wanted, plain(name))
    if (distance < bestDistance) {
      best = name
      bestDistance = distance
    }
  }
  return best
}

function plain(name: string): string {
  return name.replaceAll(/[_\-\s]/g, '').toLowerCase()
}

/** Letters to insert, delete or replace to make `to` of `from`. */
function editDistance(from: string, to: string): number {
  let previous = Array.from({ length: to.length + 1 }, (_, column) => column)
  for (let row = 1; row <= from.length; row += 1) {
    const current = [row]
    for (let column = 1; column <= to.length; column += 1) {
      const replaced = (previous[column - 1] ?? 0) + (from[row - 1] === to[column - 1] ? 0 : 1)
      const deleted = (previous[column] ?? 0) + 1
      const inserted = (current[column - 1] ?? 0) + 1
      current.push(Math.min(replaced, deleted, inserted))
    }
    previous = current
  }
  return previous[to.length] ?? 0
}

// Compares vectors that two machines made of the same text: kernels differ in the last bits.

/** What two kernels make of the same text is nearer than this. */
export const ALMOST_THE_SAME = 0.99

export function cosine(one, other) {
  const dot = (a, b) => a.reduce((sum, value, i) => sum + value * b[i], 0)
  return dot(one, other) / Math.sqrt(dot(one, one) * dot(other, other))
}

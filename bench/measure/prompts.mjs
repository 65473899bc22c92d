const WORDS = (
  'the of and to in a is that for it as was with be by on not he his but at are this have from or had an they which ' +
  'one you were her all she there would their we him been has when who will more no if out so said what up its about ' +
  'into than them can only other new some could time these two may then do first any my now such like our over man me ' +
  'even most made after also did many before must through back years where much your way well down should because each'
).split(' ')

/** Words at random, the same ones for the same seed. */
export function words(count, seed) {
  let state = seed >>> 0 || 1
  const next = () => {
    // Marsaglia's xorshift of 32 bits.
    state ^= state << 13
    state ^= state >>> 17
    state ^= state << 5
    return (state >>>= 0)
  }
  return Array.from({ length: count }, () => WORDS[next() % WORDS.length]).join(' ')
}

/**
 * The prompts of one round. No two rounds share one, so that nothing is answered from an earlier round's cache;
 * what the requests of a round share is in the scenario.
 */
export function promptsOf(scenario, round) {
  const seed = hash(`${scenario.name} ${round}`)
  const shared = scenario.sharedWords > 0 ? `${words(scenario.sharedWords, seed)} ` : ''
  return Array.from({ length: scenario.requests }, (_, index) => shared + words(scenario.promptWords, seed + 7919 * (index + 1)))
}

/** FNV-1a. */
function hash(text) {
  let hash = 0x811c9dc5
  for (const byte of Buffer.from(text)) hash = Math.imul(hash ^ byte, 0x01000193) >>> 0
  return hash
}

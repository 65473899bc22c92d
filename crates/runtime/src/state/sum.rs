/// A sum over pieces of bytes that tells damage: FNV-1a over words of eight bytes, which keeps up with a disk.
/// It does not tell who has written them.
#[derive(Debug, Clone)]
pub(crate) struct Sum(u64);

const START: u64 = 0xcbf2_9ce4_8422_2325;
const PRIME: u64 = 0x0000_0100_0000_01b3;

impl Sum {
    pub(crate) const fn new() -> Self {
        Self(START)
    }

    /// Adds a piece, its length included.
    pub(crate) fn add(&mut self, piece: &[u8]) {
        self.word(piece.len() as u64);
        let (words, rest) = piece.as_chunks::<8>();
        for word in words {
            self.word(u64::from_le_bytes(*word));
        }
        let mut last = [0; 8];
        for (to, from) in last.iter_mut().zip(rest) {
            *to = *from;
        }
        self.word(u64::from_le_bytes(last));
    }

    fn word(&mut self, word: u64) {
        // Without the rotation the high bits of a word would never reach the low ones.
        self.0 = (self.0 ^ word).wrapping_mul(PRIME).rotate_left(29);
    }

    pub(crate) const fn value(&self) -> u64 {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::Sum;

    fn of(pieces: &[&[u8]]) -> u64 {
        let mut sum = Sum::new();
        pieces.iter().for_each(|piece| sum.add(piece));
        sum.value()
    }

    #[test]
    fn every_bit_and_every_border_counts() {
        let bytes: Vec<u8> = (0..27).collect();
        let whole = of(&[&bytes]);
        for place in 0..27 * 8 {
            let mut other = bytes.clone();
            other[place / 8] ^= 1 << (place % 8);
            assert_ne!(of(&[&other]), whole, "bit {place}");
        }
        assert_ne!(of(&[&bytes[..9], &bytes[9..]]), whole);
        assert_ne!(of(&[&bytes[..26]]), of(&[&bytes[..26], &[]]));
        assert_ne!(of(&[&[1]]), of(&[&[1, 0]]));
    }
}

//! Reproducible random weights: integer arithmetic only, so every machine draws the same numbers.

/// xoshiro256++, seeded through splitmix64.
pub(crate) struct Random([u64; 4]);

impl Random {
    pub(crate) fn new(seed: u64) -> Self {
        let mut state = seed;
        Self(std::array::from_fn(|_| {
            state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
            let mixed = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
            mixed ^ (mixed >> 31)
        }))
    }

    /// A stream of its own for each name, so that one tensor's weights do not depend on the others.
    pub(crate) fn for_name(seed: u64, name: &str) -> Self {
        // FNV-1a.
        let hash = name.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
            (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
        });
        Self::new(seed ^ hash)
    }

    pub(crate) fn next(&mut self) -> u64 {
        let state = &mut self.0;
        let result = state[0].wrapping_add(state[3]).rotate_left(23).wrapping_add(state[0]);
        let shifted = state[1] << 17;
        state[2] ^= state[0];
        state[3] ^= state[1];
        state[1] ^= state[2];
        state[0] ^= state[3];
        state[2] ^= shifted;
        state[3] = state[3].rotate_left(45);
        result
    }

    /// Close to a standard normal: the sum of eight uniform 16-bit numbers, centred and scaled.
    pub(crate) fn normal(&mut self) -> f32 {
        const MEAN: f32 = 8.0 * 65535.0 / 2.0;
        const DEVIATION: f32 = 53_509.92; // sqrt(8 * (2^32 - 1) / 12)
        const LANES: u64 = 0x0000_ffff_0000_ffff;
        let (a, b) = (self.next(), self.next());
        let lanes = (a & LANES) + ((a >> 16) & LANES) + (b & LANES) + ((b >> 16) & LANES);
        let sum = (lanes & 0xffff_ffff) + (lanes >> 32);
        (sum as f32 - MEAN) * (1.0 / DEVIATION)
    }
}

#[cfg(test)]
mod tests {
    use super::Random;

    #[test]
    fn normal_numbers_have_mean_zero_and_deviation_one() {
        let mut random = Random::new(42);
        let numbers: Vec<f64> = (0..200_000).map(|_| f64::from(random.normal())).collect();
        let count = numbers.len() as f64;
        let mean = numbers.iter().sum::<f64>() / count;
        let variance = numbers.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / count;
        let within_one = numbers.iter().filter(|x| x.abs() < 1.0).count() as f64 / count;
        assert!(mean.abs() < 0.01, "{mean}");
        assert!((variance - 1.0).abs() < 0.02, "{variance}");
        assert!((within_one - 0.683).abs() < 0.01, "{within_one}");
    }

    #[test]
    fn the_same_seed_gives_the_same_stream_and_another_name_another() {
        let first = Random::for_name(1, "a").next();
        assert_eq!(first, Random::for_name(1, "a").next());
        assert_ne!(first, Random::for_name(1, "b").next());
        assert_ne!(first, Random::for_name(2, "a").next());
    }
}

/// A number in [0, 1) that depends on nothing but its arguments.
///
/// Randomness is a function of seed and position, so a sequence that is computed again, or whose
/// tokens were guessed ahead, draws what it would have drawn. The mixing is `SplitMix64`
/// (Steele, Lea, Flood 2014).
pub(crate) fn uniform(seed: u32, position: u64, stream: u64) -> f64 {
    let mut x = (u64::from(seed) << 32) ^ position.wrapping_mul(0x9E37_79B9_7F4A_7C15) ^ (stream << 59);
    for _ in 0..2 {
        x = x.wrapping_add(0x9E37_79B9_7F4A_7C15);
        x = (x ^ (x >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        x = (x ^ (x >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        x ^= x >> 31;
    }
    (x >> 11) as f64 / (1_u64 << 53) as f64
}

#[cfg(test)]
mod tests {
    use super::uniform;

    #[test]
    fn draws_fill_the_unit_interval_evenly_over_seeds_and_over_positions() {
        for by_seed in [true, false] {
            let mut bins = [0_u32; 16];
            for i in 0..16_000 {
                let u = if by_seed { uniform(i, 3, 0) } else { uniform(3, u64::from(i), 0) };
                bins[(u * 16.0) as usize] += 1;
            }
            let chi_square: f64 = bins.iter().map(|&n| (f64::from(n) - 1000.0).powi(2) / 1000.0).sum();
            // 15 degrees of freedom: 99.9 % lie below 37.7.
            assert!(chi_square < 37.7, "{chi_square} {bins:?}");
        }
    }

    #[test]
    fn streams_of_one_position_differ() {
        assert!((uniform(1, 1, 0) - uniform(1, 1, 1)).abs() > 1e-9);
    }
}

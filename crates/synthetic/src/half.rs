//! Half-precision floats.

/// The f16 bits of a quiet NaN.
pub(crate) const NAN: u16 = 0x7e00;

/// The nearest f16, ties to even, as bits.
pub(crate) fn bits(value: f32) -> u16 {
    let single = value.to_bits();
    let sign = ((single >> 16) & 0x8000) as u16;
    let magnitude = single & 0x7fff_ffff;
    if magnitude > 0x7f80_0000 {
        return sign | NAN;
    }
    if magnitude >= 0x4780_0000 {
        // 2^16 and above, infinity included.
        return sign | 0x7c00;
    }
    if magnitude < 0x3880_0000 {
        // Below 2^-14 the result is subnormal: a whole number of 2^-24.
        let steps = (f32::from_bits(magnitude) * 16_777_216.0).round_ties_even();
        return sign | steps as u16;
    }
    // A carry out of the mantissa lands in the exponent, which is what rounding up means.
    let rounded = magnitude + 0xfff + ((magnitude >> 13) & 1);
    sign | ((rounded >> 13) - (112 << 10)) as u16
}

#[cfg(test)]
mod tests {
    use super::bits;

    #[test]
    fn known_values_convert_exactly() {
        let known: [(f32, u16); 11] = [
            (0.0, 0x0000),
            (-0.0, 0x8000),
            (1.0, 0x3c00),
            (-2.0, 0xc000),
            (0.333_251_95, 0x3555),
            (65504.0, 0x7bff),
            (65520.0, 0x7c00),
            (f32::INFINITY, 0x7c00),
            (6.103_515_6e-5, 0x0400),
            (5.960_464_5e-8, 0x0001),
            (1e-10, 0x0000),
        ];
        for (value, expected) in known {
            assert_eq!(bits(value), expected, "{value}");
        }
        assert_eq!(bits(f32::NAN) & 0x7fff, 0x7e00);
    }

    #[test]
    fn ties_round_to_even() {
        assert_eq!(bits(1.0 + 1.0 / 2048.0), 0x3c00);
        assert_eq!(bits(1.0 + 3.0 / 2048.0), 0x3c02);
    }
}

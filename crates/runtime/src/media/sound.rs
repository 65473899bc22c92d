use rkllmjs_core::Error;
use rkllmjs_llama::{Decoded, SoundFormat, decode_sound};

use super::source::MediumSource;

/// Longest sound.
const SECONDS_MAX: usize = 600;
/// Samples a second of a file.
const RATES: std::ops::RangeInclusive<u32> = 1000..=768_000;
/// Most channels of a file.
const CHANNELS_MAX: u32 = 32;
/// The shortest sound that is worth a look: a file without any decodes to nothing, or to a click.
const SAMPLES_LEAST: usize = 2;

/// What the header of a file promises, where it has one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Header {
    channels: u32,
    rate: u32,
    /// Samples of each channel.
    samples: Option<u64>,
}

/// Decodes a WAV, MP3 or FLAC to one channel of `rate` samples a second. What its header says is looked at before.
pub(super) fn decode(
    source: &MediumSource,
    bytes: &[u8],
    rate: u32,
    stop: &dyn Fn() -> bool,
) -> Result<Vec<f32>, Error> {
    let format = format(bytes).ok_or_else(|| source.wrong("is no WAV, MP3 or FLAC audio"))?;
    let damaged = || source.wrong("the audio is damaged: it cannot be decoded");
    match format {
        SoundFormat::Wav => check(source, wav_header(bytes).ok_or_else(damaged)?)?,
        SoundFormat::Flac => check(source, flac_header(bytes).ok_or_else(damaged)?)?,
        SoundFormat::Mp3 => {}
    }
    let most = SECONDS_MAX.saturating_mul(rate as usize);
    match decode_sound(bytes, format, rate, most, stop) {
        Decoded::Samples(samples) if samples.len() >= SAMPLES_LEAST => Ok(samples),
        Decoded::Samples(_) => Err(source.wrong("the audio is empty")),
        Decoded::NoSound => Err(damaged()),
        Decoded::TooLong => Err(too_long(source)),
        Decoded::Stopped => {
            Err(Error::new(rkllmjs_core::ErrorCode::Unavailable, "the work on a sound was stopped"))
        }
    }
}

/// What the first bytes say.
fn format(bytes: &[u8]) -> Option<SoundFormat> {
    match bytes {
        [b'R', b'I', b'F', b'F', _, _, _, _, b'W', b'A', b'V', b'E', ..] => Some(SoundFormat::Wav),
        [b'f', b'L', b'a', b'C', ..] => Some(SoundFormat::Flac),
        [b'I', b'D', b'3', ..] => Some(SoundFormat::Mp3),
        // A frame of MPEG audio, layer 3.
        [0xff, second, ..] if second & 0xe6 == 0xe2 => Some(SoundFormat::Mp3),
        _ => None,
    }
}

fn check(source: &MediumSource, header: Header) -> Result<(), Error> {
    let Header { channels, rate, samples } = header;
    if !(1..=CHANNELS_MAX).contains(&channels) {
        let what = format!("the audio has {channels} channels; 1 to {CHANNELS_MAX} are read");
        return Err(source.wrong(&what));
    }
    if !RATES.contains(&rate) {
        let (least, most) = (RATES.start(), RATES.end());
        let what = format!("the audio has {rate} samples a second; {least} to {most} are read");
        return Err(source.wrong(&what));
    }
    match samples {
        Some(samples) if samples / u64::from(rate) > SECONDS_MAX as u64 => Err(too_long(source)),
        _ => Ok(()),
    }
}

fn too_long(source: &MediumSource) -> Error {
    source.too_much(&format!(
        "the audio is longer than {SECONDS_MAX} seconds, which is the most; cut it into pieces"
    ))
}

/// The format that a WAV file names before its samples.
fn wav_header(bytes: &[u8]) -> Option<Header> {
    let mut rest = bytes.get(12..)?;
    loop {
        let (name, after) = rest.split_first_chunk::<4>()?;
        let (length, body) = after.split_first_chunk::<4>()?;
        let length = u32::from_le_bytes(*length) as usize;
        if name == b"fmt " {
            let (channels, rate) = (body.get(2..4)?.first_chunk()?, body.get(4..8)?.first_chunk()?);
            let channels = u32::from(u16::from_le_bytes(*channels));
            return Some(Header { channels, rate: u32::from_le_bytes(*rate), samples: None });
        }
        // Chunks have an even length.
        rest = body.get(length.checked_add(length % 2)?..)?;
    }
}

/// What the first block of a FLAC file says of its stream: 20 bits of rate, 3 of channels, 5 of something else, 36 of
/// samples.
fn flac_header(bytes: &[u8]) -> Option<Header> {
    let packed = u64::from_be_bytes(*bytes.get(18..26)?.first_chunk()?);
    let samples = packed & 0x000f_ffff_ffff;
    Some(Header {
        rate: u32::try_from(packed >> 44).ok()?,
        channels: u32::try_from((packed >> 41) & 7).ok()? + 1,
        // 0 is unknown.
        samples: (samples > 0).then_some(samples),
    })
}

#[cfg(test)]
mod tests {
    use rkllmjs_core::ErrorCode;

    use super::super::source::{MediumData, MediumKind};
    use super::*;

    fn source() -> MediumSource {
        let place = "messages[0].content[1].audio".to_owned();
        MediumSource { kind: MediumKind::Audio, place, data: MediumData::Bytes(Vec::new()) }
    }

    /// Sixteen bits a sample.
    fn wav(channels: u16, rate: u32, samples: &[i16]) -> Vec<u8> {
        let data: Vec<u8> = samples.iter().flat_map(|sample| sample.to_le_bytes()).collect();
        let mut bytes = b"RIFF".to_vec();
        bytes.extend((36 + data.len() as u32).to_le_bytes());
        bytes.extend(b"WAVEfmt \x10\0\0\0\x01\0");
        bytes.extend(channels.to_le_bytes());
        bytes.extend(rate.to_le_bytes());
        bytes.extend((rate.wrapping_mul(2 * u32::from(channels))).to_le_bytes());
        bytes.extend(channels.wrapping_mul(2).to_le_bytes());
        bytes.extend(16_u16.to_le_bytes());
        bytes.extend(b"data");
        bytes.extend((data.len() as u32).to_le_bytes());
        bytes.extend(data);
        bytes
    }

    fn decoded(bytes: &[u8]) -> Result<Vec<f32>, Error> {
        decode(&source(), bytes, 16_000, &|| false)
    }

    #[test]
    fn a_wav_becomes_one_channel_of_the_rate_that_is_wanted() {
        let mono: Vec<i16> = (0..16_000).map(|i| if i % 20 < 10 { 8000 } else { -8000 }).collect();
        let samples = decoded(&wav(1, 16_000, &mono)).expect("a second");
        assert_eq!(samples.len(), 16_000);
        assert!(samples.iter().zip(&mono).all(|(a, b)| (a - f32::from(*b) / 32_768.0).abs() < 1e-4));
        // Two channels that cancel each other, at another rate.
        let stereo: Vec<i16> = (0..44_100).flat_map(|i| [i as i16 / 2, -(i as i16 / 2)]).collect();
        let samples = decoded(&wav(2, 44_100, &stereo)).expect("a second");
        assert!((15_900..=16_100).contains(&samples.len()), "{}", samples.len());
        assert!(samples.iter().all(|sample| sample.abs() < 1e-3));
    }

    #[test]
    fn what_a_header_promises_is_looked_at_before() {
        for (bytes, code, what) in [
            (wav(0, 16_000, &[0; 8]), ErrorCode::InvalidRequest, "0 channels"),
            (wav(65_535, 16_000, &[0; 8]), ErrorCode::InvalidRequest, "65535 channels"),
            (wav(1, 0, &[0; 8]), ErrorCode::InvalidRequest, "0 samples a second"),
            (wav(1, u32::MAX, &[0; 8]), ErrorCode::InvalidRequest, "4294967295 samples a second"),
            (wav(1, 1000, &vec![0; 601_000]), ErrorCode::PayloadTooLarge, "longer than 600 seconds"),
            (wav(1, 16_000, &[]), ErrorCode::InvalidRequest, "cannot be decoded"),
            (wav(1, 16_000, &[1; 8])[..30].to_vec(), ErrorCode::InvalidRequest, "cannot be decoded"),
            (b"RIFF____WAVE".to_vec(), ErrorCode::InvalidRequest, "cannot be decoded"),
            (b"RIFF____WEBP".to_vec(), ErrorCode::InvalidRequest, "no WAV, MP3 or FLAC"),
            (Vec::new(), ErrorCode::InvalidRequest, "no WAV, MP3 or FLAC"),
            (b"fLaC".to_vec(), ErrorCode::InvalidRequest, "cannot be decoded"),
            (b"ID3\x04\0\0\0\0\0\0".to_vec(), ErrorCode::InvalidRequest, "cannot be decoded"),
            (vec![0xff; 4000], ErrorCode::InvalidRequest, "no WAV, MP3 or FLAC"),
        ] {
            let error = decoded(&bytes).expect_err(what);
            assert_eq!(error.code, code, "{what}: {error}");
            assert!(
                error.message.contains(what) && error.message.starts_with("messages[0]"),
                "{what}: {error}"
            );
        }
    }

    #[test]
    fn the_stream_that_a_flac_describes_is_read_from_its_bits() {
        let mut bytes = b"fLaC\0\0\0\x22".to_vec();
        bytes.extend([0; 10]);
        let packed = (44_100_u64 << 44) | (1 << 41) | (15 << 36) | 123_456;
        bytes.extend(packed.to_be_bytes());
        let header = Header { channels: 2, rate: 44_100, samples: Some(123_456) };
        assert_eq!(flac_header(&bytes), Some(header));
        bytes.splice(18..26, ((8000_u64 << 44) | 0x000f_ffff_ffff).to_be_bytes());
        assert_eq!(decoded(&bytes).expect_err("years").code, ErrorCode::PayloadTooLarge);
    }

    #[test]
    fn what_is_cut_off_or_twisted_anywhere_is_sound_or_an_error() {
        let whole = wav(2, 22_050, &(0..400).map(|i| i * 50).collect::<Vec<i16>>());
        for length in 0..whole.len() {
            let _ = decoded(&whole[..length]);
        }
        for at in 0..44 {
            for value in [0, 1, 0x7f, 0xff] {
                let mut twisted = whole.clone();
                twisted[at] = value;
                let _ = decoded(&twisted);
            }
        }
    }

    #[test]
    fn decoding_stops_when_it_is_told_to() {
        let long = wav(1, 16_000, &vec![5; 1_000_000]);
        let error = decode(&source(), &long, 16_000, &|| true).expect_err("it was stopped");
        assert_eq!(error.code, ErrorCode::Unavailable);
    }
}

use std::ffi::c_void;
use std::ptr::NonNull;

use crate::ffi;

/// How sound is stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SoundFormat {
    /// RIFF WAVE.
    Wav,
    /// FLAC.
    Flac,
    /// MPEG audio, layer 3.
    Mp3,
}

/// Samples that are decoded between two looks at whether to go on.
const BLOCK: usize = 1 << 16;

/// How decoding ended.
#[derive(Debug, Clone, PartialEq)]
pub enum Decoded {
    /// All samples of one channel.
    Samples(Vec<f32>),
    /// These are no sound of that format.
    NoSound,
    /// There are more samples than were allowed.
    TooLong,
    /// It was stopped.
    Stopped,
}

/// Decodes sound to one channel of `rate` samples a second, at most `most` of them. `stop` is asked now and then
/// whether to give up.
pub fn decode_sound(
    bytes: &[u8],
    format: SoundFormat,
    rate: u32,
    most: usize,
    stop: &dyn Fn() -> bool,
) -> Decoded {
    let Some(decoder) = Decoder::open(bytes, format, rate) else { return Decoded::NoSound };
    let mut samples = Vec::new();
    let mut block = vec![0.0; BLOCK];
    loop {
        if stop() {
            return Decoded::Stopped;
        }
        let count = decoder.read(&mut block);
        if count == 0 {
            break;
        }
        if samples.len() + count > most {
            return Decoded::TooLong;
        }
        samples.extend_from_slice(block.get(..count).unwrap_or_default());
    }
    let is_sound = !samples.is_empty() && samples.iter().all(|sample| sample.is_finite());
    if is_sound { Decoded::Samples(samples) } else { Decoded::NoSound }
}

/// A decoder of bytes that outlive it.
struct Decoder<'a> {
    decoder: NonNull<c_void>,
    _bytes: &'a [u8],
}

impl<'a> Decoder<'a> {
    fn open(bytes: &'a [u8], format: SoundFormat, rate: u32) -> Option<Self> {
        let kind = match format {
            SoundFormat::Wav => 1,
            SoundFormat::Flac => 2,
            SoundFormat::Mp3 => 3,
        };
        // SAFETY: the bytes are as many as is said, and outlive the decoder; exceptions are caught by the shim.
        let decoder = unsafe { ffi::rkllmjs_sound_open(bytes.as_ptr(), bytes.len(), kind, rate) };
        NonNull::new(decoder).map(|decoder| Self { decoder, _bytes: bytes })
    }

    /// The next samples, as many as there is room for; how many came, 0 at the end.
    fn read(&self, samples: &mut [f32]) -> usize {
        let most = samples.len();
        // SAFETY: the decoder is alive, and there is room for so many samples; exceptions are caught by the shim.
        let count =
            unsafe { ffi::rkllmjs_sound_read(self.decoder.as_ptr(), samples.as_mut_ptr(), most as u64) };
        usize::try_from(count).unwrap_or(0).min(most)
    }
}

impl Drop for Decoder<'_> {
    fn drop(&mut self) {
        // SAFETY: closed once.
        unsafe { ffi::rkllmjs_sound_close(self.decoder.as_ptr()) }
    }
}

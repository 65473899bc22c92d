use std::io::Cursor;
use std::panic::{AssertUnwindSafe, catch_unwind};

use image::error::ImageError;
use image::metadata::Orientation;
use image::{DynamicImage, ImageDecoder as _, ImageFormat, ImageReader, Limits, guess_format};
use rkllmjs_core::Error;
use rkllmjs_llama::Pixels;

use super::source::MediumSource;

/// Most pixels of a side.
const SIDE_MAX: u32 = 8192;
/// Most pixels of an image.
const PIXELS_MAX: u64 = 1 << 25;
/// How many times as long as wide an image may be: what scales it down would leave nothing of a longer one.
const RATIO_MAX: u32 = 100;
/// Most bytes that decoding may take, the pixels included.
const DECODED_BYTES_MAX: u64 = 256 << 20;
/// Most pixels that all scans of a JPEG go through: a small file may have many.
const SCANNED_PIXELS_MAX: u64 = 1 << 28;
const WHITE: u32 = 255;

/// Three bytes for each pixel.
#[derive(Debug)]
pub(super) struct Decoded {
    width: u32,
    height: u32,
    bytes: Vec<u8>,
}

impl Decoded {
    pub(super) fn pixels(&self) -> Option<Pixels<'_>> {
        Pixels::new(self.width, self.height, &self.bytes)
    }
}

/// Decodes a PNG, JPEG, WebP or GIF, of which the first picture counts. Its size is looked at before its pixels.
pub(super) fn decode(source: &MediumSource, bytes: &[u8]) -> Result<Decoded, Error> {
    // Whatever a hostile file finds to trip over stays here.
    let decoded = catch_unwind(AssertUnwindSafe(|| decode_unguarded(source, bytes)));
    decoded.unwrap_or_else(|_| Err(source.wrong("the image is damaged: its decoder gave up")))
}

fn decode_unguarded(source: &MediumSource, bytes: &[u8]) -> Result<Decoded, Error> {
    let format = guess_format(bytes).ok().filter(|format| FORMATS.contains(format));
    let format = format.ok_or_else(|| source.wrong("is no PNG, JPEG, WebP or GIF image"))?;
    let refused = |error: ImageError| refused(source, &error);
    let mut reader = ImageReader::with_format(Cursor::new(bytes), format);
    let mut limits = Limits::default();
    (limits.max_image_width, limits.max_image_height) = (Some(SIDE_MAX), Some(SIDE_MAX));
    limits.max_alloc = Some(DECODED_BYTES_MAX);
    reader.limits(limits);
    let mut decoder = reader.into_decoder().map_err(refused)?;
    let (width, height) = decoder.dimensions();
    check_size(source, width, height)?;
    if format == ImageFormat::Jpeg {
        check_scans(source, bytes, u64::from(width) * u64::from(height))?;
    }
    if decoder.total_bytes() > DECODED_BYTES_MAX {
        return Err(
            source.too_much(&format!("the image takes more than {DECODED_BYTES_MAX} bytes to decode"))
        );
    }
    let orientation = decoder.orientation().unwrap_or(Orientation::NoTransforms);
    let mut image = DynamicImage::from_decoder(decoder).map_err(refused)?;
    image.apply_orientation(orientation);
    Ok(on_white(image))
}

const FORMATS: [ImageFormat; 4] = [ImageFormat::Png, ImageFormat::Jpeg, ImageFormat::WebP, ImageFormat::Gif];

fn check_size(source: &MediumSource, width: u32, height: u32) -> Result<(), Error> {
    if width == 0 || height == 0 {
        return Err(source.wrong("the image has no pixels"));
    }
    let pixels = u64::from(width) * u64::from(height);
    if width > SIDE_MAX || height > SIDE_MAX || pixels > PIXELS_MAX {
        let what = format!(
            "the image has {width} × {height} pixels; at most {SIDE_MAX} a side and {PIXELS_MAX} in all are allowed, \
             so scale it down first"
        );
        return Err(source.too_much(&what));
    }
    if width.max(height) / width.min(height) > RATIO_MAX {
        let what = format!(
            "the image has {width} × {height} pixels; a side may be at most {RATIO_MAX} times the other"
        );
        return Err(source.wrong(&what));
    }
    Ok(())
}

/// Each scan of a JPEG goes over all of its pixels, however little it says of them.
fn check_scans(source: &MediumSource, bytes: &[u8], pixels: u64) -> Result<(), Error> {
    let scans = bytes.windows(2).filter(|pair| *pair == [0xff, 0xda]).count() as u64;
    if scans.saturating_mul(pixels) <= SCANNED_PIXELS_MAX {
        return Ok(());
    }
    let what = format!(
        "the JPEG goes over its {pixels} pixels {scans} times; save it as a baseline JPEG, or smaller"
    );
    Err(source.too_much(&what))
}

fn refused(source: &MediumSource, error: &ImageError) -> Error {
    match error {
        ImageError::Limits(_) => source.too_much(&format!(
            "the image is too large: {error}; at most {SIDE_MAX} pixels a side are allowed"
        )),
        _ => source.wrong(&format!("the image cannot be decoded: {error}")),
    }
}

/// What is transparent lets white through.
fn on_white(image: DynamicImage) -> Decoded {
    let (width, height) = (image.width(), image.height());
    if !image.color().has_alpha() {
        return Decoded { width, height, bytes: image.into_rgb8().into_raw() };
    }
    let colours = image.into_rgba8().into_raw();
    let mut bytes = Vec::with_capacity(colours.len() / 4 * 3);
    for pixel in colours.chunks_exact(4) {
        if let [red, green, blue, alpha] = *pixel {
            let alpha = u32::from(alpha);
            let mix = |colour: u8| (u32::from(colour) * alpha + WHITE * (255 - alpha)).div_ceil(255);
            bytes.extend([red, green, blue].map(|colour| u8::try_from(mix(colour)).unwrap_or(u8::MAX)));
        }
    }
    Decoded { width, height, bytes }
}

#[cfg(test)]
mod tests {
    use image::{DynamicImage, ImageFormat, Rgb, RgbImage, Rgba, RgbaImage};
    use rkllmjs_core::{Error, ErrorCode};

    use super::super::source::{MediumData, MediumKind, MediumSource};
    use super::{Decoded, decode};

    fn run(bytes: &[u8]) -> Result<Decoded, Error> {
        let place = "messages[0].content[0]".to_owned();
        let source = MediumSource { kind: MediumKind::Image, place, data: MediumData::Bytes(Vec::new()) };
        decode(&source, bytes)
    }

    fn refusal(bytes: &[u8]) -> (ErrorCode, String) {
        let error = run(bytes).unwrap_err();
        (error.code, error.message)
    }

    fn encoded(image: &DynamicImage, format: ImageFormat) -> Vec<u8> {
        let mut out = std::io::Cursor::new(Vec::new());
        image.write_to(&mut out, format).unwrap();
        out.into_inner()
    }

    fn red(width: u32, height: u32) -> DynamicImage {
        RgbImage::from_pixel(width, height, Rgb([255, 0, 0])).into()
    }

    /// A PNG that promises so many pixels and has none.
    fn promise(width: u32, height: u32) -> Vec<u8> {
        let mut png = encoded(&red(1, 1), ImageFormat::Png);
        png[16..20].copy_from_slice(&width.to_be_bytes());
        png[20..24].copy_from_slice(&height.to_be_bytes());
        let sum = crc(&png[12..29]);
        png[29..33].copy_from_slice(&sum.to_be_bytes());
        png
    }

    fn crc(bytes: &[u8]) -> u32 {
        let step = |sum: u32, &byte: &u8| {
            (0..8).fold(sum ^ u32::from(byte), |sum, _| (sum >> 1) ^ (0xedb8_8320 * (sum & 1)))
        };
        !bytes.iter().fold(!0, step)
    }

    #[test]
    fn every_format_gives_the_pixels_that_went_in() {
        for format in [ImageFormat::Png, ImageFormat::WebP, ImageFormat::Gif, ImageFormat::Jpeg] {
            let decoded = run(&encoded(&red(6, 4), format)).unwrap();
            assert_eq!((decoded.width, decoded.height, decoded.bytes.len()), (6, 4, 72), "{format:?}");
            let off =
                decoded.bytes.chunks(3).map(|pixel| pixel[0].abs_diff(255).max(pixel[1]).max(pixel[2])).max();
            assert!(off.unwrap() <= 2, "{format:?}");
            assert!(decoded.pixels().is_some());
        }
    }

    #[test]
    fn white_shines_through_what_is_transparent() {
        let image = RgbaImage::from_fn(3, 1, |x, _| Rgba([200, 0, 0, [0, 51, 255][x as usize]]));
        let decoded = run(&encoded(&image.into(), ImageFormat::Png)).unwrap();
        assert_eq!(decoded.bytes, [255, 255, 255, 244, 204, 204, 200, 0, 0]);
    }

    #[test]
    fn sizes_are_refused_before_pixels_are_decoded() {
        for (width, height) in [(8193, 1), (1, 60_000), (u32::MAX >> 1, u32::MAX >> 1), (8192, 8192)] {
            let (code, message) = refusal(&promise(width, height));
            assert_eq!(code, ErrorCode::PayloadTooLarge, "{width} × {height}: {message}");
        }
        let (code, message) = refusal(&promise(8000, 79));
        assert_eq!(code, ErrorCode::InvalidRequest);
        assert!(message.contains("at most 100 times the other"), "{message}");
        let (code, message) = refusal(&promise(5000, 5000));
        assert_eq!(code, ErrorCode::InvalidRequest, "there are no pixels to decode: {message}");
    }

    #[test]
    fn what_is_cut_off_or_damaged_is_an_error() {
        for format in [ImageFormat::Png, ImageFormat::Jpeg, ImageFormat::WebP, ImageFormat::Gif] {
            let whole = encoded(&red(64, 64), format);
            for length in [0, 1, 8, 20, whole.len() / 2] {
                if let Err(error) = run(&whole[..length]) {
                    assert_eq!(error.code, ErrorCode::InvalidRequest, "{format:?} {length}: {error}");
                }
            }
            assert!(run(&whole[..12]).is_err(), "{format:?}");
        }
    }

    #[test]
    fn what_is_no_image_says_what_would_be() {
        for bytes in
            [b"".as_slice(), b"hello", b"<svg xmlns=''/>", b"%PDF-1.7", b"BM000000000000", &[0; 1000]]
        {
            let (code, message) = refusal(bytes);
            assert_eq!(code, ErrorCode::InvalidRequest);
            assert!(message.contains("is no PNG, JPEG, WebP or GIF"), "{message}");
        }
    }

    #[test]
    fn a_jpeg_of_many_scans_is_refused_by_their_number() {
        let mut jpeg = encoded(&red(2000, 2000), ImageFormat::Jpeg);
        assert!(run(&jpeg).is_ok());
        for _ in 0..100 {
            jpeg.extend([0xff, 0xda]);
        }
        assert_eq!(refusal(&jpeg).0, ErrorCode::PayloadTooLarge);
    }
}

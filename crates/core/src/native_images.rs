use serde::{Deserialize, Serialize};

use crate::{Error, OptionFact};

/// What stands for an image in a text.
pub const IMAGE_TAG: &str = "<image>";

/// Most numbers of all images of a prompt: half of what a message to an engine's process may hold.
const VALUES_MAX: usize = 1 << 25;

const COUNT: OptionFact = OptionFact::whole(
    "image.count",
    "1",
    1.0,
    256.0,
    "How many images `image.embedding` holds, each with an `<image>` in the text.",
);
const TOKENS_PER_IMAGE: OptionFact = OptionFact::whole(
    "image.tokens_per_image",
    "none: it must be given",
    1.0,
    16_384.0,
    "How many vectors each image has.",
);
const WIDTH: OptionFact = OptionFact::whole(
    "image.width",
    "left out",
    1.0,
    65_536.0,
    "Width of the images as they were encoded, which models with positions in two dimensions need.",
);
const HEIGHT: OptionFact =
    OptionFact::whole("image.height", "left out", 1.0, 65_536.0, "Height of the images, the same.");

/// Every number that says what the images of a prompt are.
pub const IMAGE_OPTIONS: [OptionFact; 4] = [COUNT, TOKENS_PER_IMAGE, WIDTH, HEIGHT];

/// What a caller says of the images of a prompt, unchecked.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct ImageNumbers {
    /// How many; one where nothing is said.
    pub count: Option<f64>,
    /// Vectors of each.
    pub tokens_per_image: Option<f64>,
    /// Width as encoded.
    pub width: Option<f64>,
    /// Height as encoded.
    pub height: Option<f64>,
}

/// Text with encoded images in the places of its tags.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct NativeImages {
    /// The text, with an [`IMAGE_TAG`] for each image.
    pub text: String,
    /// The vectors of all images, one after the other.
    pub values: Vec<f32>,
    /// How many images.
    pub count: u32,
    /// Vectors of each image.
    pub tokens_per_image: u32,
    /// Width and height of each image as it was encoded, where the model needs them.
    pub size: Option<(u32, u32)>,
}

impl NativeImages {
    /// Most numbers of one token's vector that are believed where the model's own are unknown.
    pub const VECTOR_MAX: usize = 16_384;

    /// Images whose numbers are in range; what they say of the text and the vectors is left to [`check`].
    ///
    /// # Errors
    ///
    /// `invalid-request` naming the number.
    ///
    /// [`check`]: Self::check
    pub fn new(text: String, values: Vec<f32>, numbers: &ImageNumbers) -> Result<Self, Error> {
        let whole = |fact: &OptionFact, value: Option<f64>| {
            value.map(|value| fact.check(value).map(|value| value as u32)).transpose()
        };
        let size = match (whole(&WIDTH, numbers.width)?, whole(&HEIGHT, numbers.height)?) {
            (None, None) => None,
            (Some(width), Some(height)) => Some((width, height)),
            (None, Some(_)) => return Err(Error::option(WIDTH.name, "must be given with image.height")),
            (Some(_), None) => return Err(Error::option(HEIGHT.name, "must be given with image.width")),
        };
        let missing = || Error::option(TOKENS_PER_IMAGE.name, "must be given");
        Ok(Self {
            text,
            values,
            count: whole(&COUNT, numbers.count)?.unwrap_or(1),
            tokens_per_image: whole(&TOKENS_PER_IMAGE, numbers.tokens_per_image)?.ok_or_else(missing)?,
            size,
        })
    }

    /// Tokens that the images count as.
    pub fn tokens(&self) -> usize {
        self.count as usize * self.tokens_per_image as usize
    }

    /// Numbers in the vector of a token; `embedding_length` is the model's own, where it is known.
    ///
    /// An engine reads as many as the model has, whatever it is given, so this is checked before.
    ///
    /// # Errors
    ///
    /// `invalid-request` if the vectors are not as long as they must be, or not as many.
    pub fn vector_length(&self, embedding_length: Option<u32>) -> Result<usize, Error> {
        let (given, tokens) = (self.values.len(), self.tokens());
        if given > VALUES_MAX {
            return Err(Error::option(
                "image.embedding",
                format!("must have at most {VALUES_MAX} numbers, got {given}"),
            ));
        }
        let length = match embedding_length.filter(|&length| length > 0) {
            Some(length) => length as usize,
            None => given.checked_div(tokens).unwrap_or(0).clamp(1, Self::VECTOR_MAX),
        };
        if tokens.checked_mul(length) == Some(given) && given > 0 {
            return Ok(length);
        }
        let each = match embedding_length {
            Some(length) => format!("{length}, the length of this model's vectors"),
            None => format!("the length of the model's vectors, at most {}", Self::VECTOR_MAX),
        };
        let message = format!(
            "must have image.count × image.tokens_per_image × length numbers, here {} × {} × {each}; got {given}",
            self.count, self.tokens_per_image
        );
        Err(Error::option("image.embedding", message))
    }

    /// Checks that the text has a place for each image, and that the vectors are what the numbers say.
    ///
    /// # Errors
    ///
    /// `invalid-request` naming what is wrong.
    pub fn check(&self, embedding_length: Option<u32>) -> Result<(), Error> {
        self.vector_length(embedding_length)?;
        let tags = self.text.matches(IMAGE_TAG).count();
        if tags != self.count as usize {
            let message = format!("must have {IMAGE_TAG} once for each of {} images, got {tags}", self.count);
            return Err(Error::option("text", message));
        }
        match self.values.iter().position(|value| !value.is_finite()) {
            None => Ok(()),
            Some(at) => Err(Error::option("image.embedding", format!("must be finite, number {at} is not"))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{ImageNumbers, NativeImages};
    use crate::{Error, ErrorCode};

    const NUMBERS: ImageNumbers =
        ImageNumbers { count: Some(2.0), tokens_per_image: Some(3.0), width: None, height: None };

    fn images(text: &str, values: usize) -> NativeImages {
        NativeImages::new(text.to_owned(), vec![0.5; values], &NUMBERS).expect("numbers in range")
    }

    fn blamed(result: Result<impl std::fmt::Debug, Error>) -> &'static str {
        let error = result.expect_err("a refusal");
        assert_eq!(error.code, ErrorCode::InvalidRequest);
        error.option.expect("an option")
    }

    #[test]
    fn a_text_needs_one_tag_an_image() {
        images("<image> and <image>", 24).check(Some(4)).expect("as many tags as images");
        for text in ["", "<image>", "<image><image><image>", "<IMAGE><image>", "< image><image>"] {
            assert_eq!(blamed(images(text, 24).check(Some(4))), "text", "{text}");
        }
    }

    #[test]
    fn vectors_have_the_length_of_the_models_own() {
        assert_eq!(images("", 24).vector_length(Some(4)).expect("whole vectors"), 4);
        for wrong in [0, 4, 23, 25, 48] {
            assert_eq!(blamed(images("", wrong).vector_length(Some(4))), "image.embedding", "{wrong}");
        }
    }

    #[test]
    fn vectors_for_a_model_whose_own_are_unknown_are_whole() {
        assert_eq!(images("", 30).vector_length(None).expect("whole vectors"), 5);
        for wrong in [0, 5, 29, 31, 6 * 16_385] {
            assert_eq!(blamed(images("", wrong).vector_length(None)), "image.embedding", "{wrong}");
        }
    }

    #[test]
    fn numbers_that_are_none_are_refused() {
        for wrong in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
            let mut images = images("<image><image>", 24);
            images.values[23] = wrong;
            assert_eq!(blamed(images.check(Some(4))), "image.embedding");
        }
    }

    #[test]
    fn what_is_said_of_images_is_in_range_and_complete() {
        let new = |numbers| NativeImages::new(String::new(), Vec::new(), &numbers);
        for wrong in [0.0, -1.0, 1.5, f64::NAN, f64::INFINITY, 1e9] {
            for (name, numbers) in [
                ("image.count", ImageNumbers { count: Some(wrong), ..NUMBERS }),
                ("image.tokens_per_image", ImageNumbers { tokens_per_image: Some(wrong), ..NUMBERS }),
                ("image.width", ImageNumbers { width: Some(wrong), height: Some(1.0), ..NUMBERS }),
                ("image.height", ImageNumbers { width: Some(1.0), height: Some(wrong), ..NUMBERS }),
            ] {
                assert_eq!(blamed(new(numbers)), name, "{wrong}");
            }
        }
        let none = ImageNumbers { tokens_per_image: None, ..NUMBERS };
        assert_eq!(blamed(new(none)), "image.tokens_per_image");
        assert_eq!(blamed(new(ImageNumbers { width: Some(8.0), ..NUMBERS })), "image.height");
        assert_eq!(blamed(new(ImageNumbers { height: Some(8.0), ..NUMBERS })), "image.width");
        let one = new(ImageNumbers { count: None, ..NUMBERS }).expect("one image");
        assert_eq!((one.count, one.tokens(), one.size), (1, 3, None));
    }
}

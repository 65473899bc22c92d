use crate::error::Error;
use crate::metadata::Metadata;

/// How a projector makes rows. llama.cpp knows many more ways, and ends the process over most of what can be wrong
/// with them; these are the ones whose files are checked for all of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ProjectorKind {
    /// A layer or two over the patches of a CLIP tower: LLaVA 1.5.
    Mlp,
    /// Patches of a SigLIP tower, averaged in squares: Gemma 3.
    Gemma3,
    /// Patches of a SigLIP tower, put side by side, for an image and its tiles: Idefics 3, SmolVLM.
    Idefics3,
    /// Squares of patches of an image of any shape: Qwen2-VL.
    Qwen2Vl,
    /// The same, where most layers look at windows of the image: Qwen2.5-VL.
    Qwen25Vl,
    /// The same without windows, and with what some of its layers made besides: Qwen3-VL.
    Qwen3Vl,
    /// Pieces of sound from a Whisper tower, some of them put side by side: Ultravox.
    Ultravox,
    /// Pieces of sound from a Whisper tower, averaged in pairs: Qwen2-Audio.
    Qwen2Audio,
    /// Both: Voxtral.
    Voxtral,
}

/// What a projector reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sense {
    /// Images.
    Sight,
    /// Sound.
    Hearing,
}

/// Most rows of an image that projectors for images of any shape make of themselves.
const ROWS_MAX: u64 = 4096;
/// The same where a table says for each pair of patches whether one looks at the other.
const ROWS_MAX_IN_WINDOWS: u64 = 2048;
/// With fewer, they would scale small images up beyond their own most.
pub(super) const ROWS_LEAST: u64 = 8;

impl ProjectorKind {
    const ALL: [Self; 9] = [
        Self::Mlp,
        Self::Gemma3,
        Self::Idefics3,
        Self::Qwen2Vl,
        Self::Qwen25Vl,
        Self::Qwen3Vl,
        Self::Ultravox,
        Self::Qwen2Audio,
        Self::Voxtral,
    ];

    /// The name in files.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Mlp => "mlp",
            Self::Gemma3 => "gemma3",
            Self::Idefics3 => "idefics3",
            Self::Qwen2Vl => "qwen2vl_merger",
            Self::Qwen25Vl => "qwen2.5vl_merger",
            Self::Qwen3Vl => "qwen3vl_merger",
            Self::Ultravox => "ultravox",
            Self::Qwen2Audio => "qwen2a",
            Self::Voxtral => "voxtral",
        }
    }

    /// What it reads.
    #[must_use]
    pub fn sense(self) -> Sense {
        match self {
            Self::Ultravox | Self::Qwen2Audio | Self::Voxtral => Sense::Hearing,
            _ => Sense::Sight,
        }
    }

    /// Whether it takes images of any shape, and makes as many rows as they are large.
    pub(super) fn has_any_shape(self) -> bool {
        matches!(self, Self::Qwen2Vl | Self::Qwen25Vl | Self::Qwen3Vl)
    }

    /// How many rows an image may become for a prompt of at most `context` tokens, where that can be chosen. Half of
    /// them are left for text.
    #[must_use]
    pub fn rows_max(self, context: u64) -> Option<u64> {
        let most = if self == Self::Qwen25Vl { ROWS_MAX_IN_WINDOWS } else { ROWS_MAX };
        self.has_any_shape().then(|| (context / 2).clamp(ROWS_LEAST, most))
    }
}

/// What the file says it is, if that is one of the above.
pub(super) fn kind(metadata: &Metadata) -> Result<ProjectorKind, Error> {
    let has = |key: &str| metadata.bool(key) == Some(true);
    if has("clip.has_gen_audio_encoder") {
        return Err(Error::unsupported("the projector makes sound, which is not supported"));
    }
    let (sense, own) = match (has("clip.has_vision_encoder"), has("clip.has_audio_encoder")) {
        (true, false) => (Sense::Sight, "clip.vision.projector_type"),
        (false, true) => (Sense::Hearing, "clip.audio.projector_type"),
        (false, false) => return Err(Error::unsupported("the projector reads neither images nor sound")),
        (true, true) => {
            let message = "the projector reads images and sound, of which only one at a time is supported";
            return Err(Error::unsupported(message));
        }
    };
    let name = metadata.str("clip.projector_type").filter(|name| !name.is_empty());
    let name = name.or_else(|| metadata.str(own)).ok_or_else(|| Metadata::missing("clip.projector_type"))?;
    let known = || ProjectorKind::ALL.into_iter().filter(|kind| kind.sense() == sense);
    known().find(|kind| kind.name() == name).ok_or_else(|| {
        let known: Vec<&str> = known().map(ProjectorKind::name).collect();
        let (name, known) = (name.chars().take(64).collect::<String>(), known.join(", "));
        Error::unsupported(format!("projectors of type {name:?} are not supported; these are: {known}"))
    })
}

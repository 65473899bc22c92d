//! The command line.

use std::ffi::OsString;
use std::path::PathBuf;
use std::str::FromStr;

use rkllmjs_synthetic::{Kind, Options};

pub(crate) const USAGE: &str = "\
usage: synthetic-model <kind> <out.gguf> [options]
       synthetic-model corpus <folder> --base <good.gguf>

kinds: micro tiny 360m 1b rerank embed cross-encoder lora micro-placed micro-deep projector projector-gemma3
       projector-qwen2vl projector-qwen25vl projector-qwen3vl projector-ultravox projector-qwen2audio

  --type f32|f16|q4_0|q8_0   how matrices are stored (f16)
  --context N                context length
  --layers N                 number of layers
  --seed N                   seed of the weights (42)
  --nan TENSOR               start every row of this tensor with a NaN
  --width N                  projector: the length of the rows it makes (64)
  --base KIND                lora: the model the adapter fits (tiny)
                             corpus: the model to derive the malformed files from
";

/// What to do.
#[derive(Debug)]
pub(crate) enum Command {
    Help,
    Model { kind: Kind, out: PathBuf, options: Options },
    Corpus { folder: PathBuf, base: PathBuf },
}

/// Option values by name.
#[derive(Default)]
struct Flags(Vec<(String, OsString)>);

pub(crate) fn parse(arguments: impl Iterator<Item = OsString>) -> Result<Command, String> {
    let mut arguments = arguments;
    let mut places = Vec::new();
    let mut flags = Flags::default();
    while let Some(argument) = arguments.next() {
        match argument.to_str() {
            Some("--help" | "-h") => return Ok(Command::Help),
            Some(name) if name.starts_with("--") => {
                let value = arguments.next().ok_or_else(|| format!("{name} needs a value"))?;
                flags.add(name, value)?;
            }
            _ => places.push(argument),
        }
    }
    let count = places.len();
    let Ok([what, out]) = <[OsString; 2]>::try_from(places) else {
        return Err(format!("expected two arguments before the options, got {count}"));
    };
    let command = if what == "corpus" {
        let base = flags.take("--base").ok_or("corpus needs --base")?;
        Command::Corpus { folder: out.into(), base: base.into() }
    } else {
        let kind = text(&what)?.parse()?;
        Command::Model { kind, out: out.into(), options: options(kind, &mut flags)? }
    };
    flags.finish(&what)?;
    Ok(command)
}

fn options(kind: Kind, flags: &mut Flags) -> Result<Options, String> {
    let mut options = Options { layers: flags.parsed("--layers")?, ..Options::default() };
    if kind == Kind::Lora {
        options.lora_base = flags.parsed("--base")?.unwrap_or(options.lora_base);
    } else if kind.is_projector() {
        options.width = flags.parsed("--width")?.unwrap_or(options.width);
        options.weight_type = flags.parsed("--type")?.unwrap_or(options.weight_type);
    } else {
        options.context = flags.parsed("--context")?;
        options.weight_type = flags.parsed("--type")?.unwrap_or(options.weight_type);
    }
    options.seed = flags.parsed("--seed")?.unwrap_or(options.seed);
    options.nan = flags.parsed("--nan")?;
    Ok(options)
}

impl Flags {
    fn add(&mut self, name: &str, value: OsString) -> Result<(), String> {
        if !["--type", "--context", "--layers", "--seed", "--nan", "--base", "--width"].contains(&name) {
            return Err(format!("unknown option {name}"));
        }
        if self.0.iter().any(|(known, _)| known == name) {
            return Err(format!("{name} is given twice"));
        }
        self.0.push((name.to_owned(), value));
        Ok(())
    }

    fn take(&mut self, name: &str) -> Option<OsString> {
        let at = self.0.iter().position(|(known, _)| known == name)?;
        Some(self.0.remove(at).1)
    }

    fn parsed<T: FromStr<Err: ToString>>(&mut self, name: &str) -> Result<Option<T>, String> {
        let Some(value) = self.take(name) else { return Ok(None) };
        text(&value)?.parse().map(Some).map_err(|error: T::Err| format!("{name}: {}", error.to_string()))
    }

    /// Refuses what nothing has taken.
    fn finish(self, what: &OsString) -> Result<(), String> {
        match self.0.first() {
            None => Ok(()),
            Some((name, _)) => Err(format!("{name} does not apply to {}", what.display())),
        }
    }
}

fn text(argument: &OsString) -> Result<&str, String> {
    argument.to_str().ok_or_else(|| format!("{} is not text", argument.display()))
}

#[cfg(test)]
mod tests {
    use super::{Command, parse};
    use rkllmjs_synthetic::{Kind, WeightType};

    fn of(line: &str) -> Result<Command, String> {
        parse(line.split_whitespace().map(Into::into))
    }

    #[test]
    fn options_may_stand_anywhere() {
        let Ok(Command::Model { kind, out, options }) =
            of("--type q8_0 tiny a.gguf --context 512 --nan output.weight --layers 3 --seed 7")
        else {
            panic!("not a model command");
        };
        assert_eq!((kind, out.to_str()), (Kind::Tiny, Some("a.gguf")));
        assert_eq!(options.weight_type, WeightType::Q8_0);
        assert_eq!((options.context, options.layers, options.seed), (Some(512), Some(3), 7));
        assert_eq!(options.nan.as_deref(), Some("output.weight"));
    }

    #[test]
    fn what_is_wrong_is_named() {
        for (line, expected) in [
            ("", "expected two arguments before the options, got 0"),
            ("tiny", "expected two arguments before the options, got 1"),
            ("huge a.gguf", "unknown kind \"huge\""),
            ("tiny a.gguf --type q9", "--type: unknown type \"q9\""),
            ("tiny a.gguf --context many", "--context: invalid digit found in string"),
            ("tiny a.gguf --seed", "--seed needs a value"),
            ("tiny a.gguf --speed 9", "unknown option --speed"),
            ("tiny a.gguf --seed 1 --seed 2", "--seed is given twice"),
            ("tiny a.gguf --base micro", "--base does not apply to tiny"),
            ("lora a.gguf --type q8_0", "--type does not apply to lora"),
            ("tiny a.gguf --width 9", "--width does not apply to tiny"),
            ("projector a.gguf --context 9", "--context does not apply to projector"),
            ("corpus folder", "corpus needs --base"),
            ("corpus folder --base a.gguf --seed 1", "--seed does not apply to corpus"),
        ] {
            assert_eq!(of(line).err().as_deref(), Some(expected), "{line}");
        }
    }
}

//! What is known to go wrong between the toolkit that made an `.rkllm` model and the runtime that is to run it.

use std::path::Path;

use rkllmjs_core::{Detail, Error, ErrorCode};
use rkllmjs_rkllm::library::Version;

/// Models of this toolkit are read wrongly by this runtime, though it is the newer one.
const MISREAD: ([u16; 3], [u16; 3]) = ([1, 2, 2], [1, 3, 0]);

/// Why a runtime cannot run a model of that toolkit: it reads those of its own version and older ones.
pub(crate) fn obstacle(toolkit: Option<Version>, runtime: Option<Version>) -> Option<String> {
    let (toolkit, runtime) = (toolkit?, runtime?);
    (runtime < toolkit).then(|| {
        format!("was made by version {toolkit} of the toolkit, and the runtime is {runtime}, which is older")
    })
}

/// The same as a refusal, before the runtime says no without a reason.
///
/// # Errors
///
/// `model-invalid` with both versions.
pub(crate) fn refuse_older_runtime(
    path: &Path,
    toolkit: Option<Version>,
    runtime: Option<Version>,
) -> Result<(), Error> {
    let (Some(why), Some(toolkit), Some(runtime)) = (obstacle(toolkit, runtime), toolkit, runtime) else {
        return Ok(());
    };
    let message = format!(
        "{}: {why}; install a runtime of version {toolkit} or newer, or say with runtime_version that yours is",
        path.display()
    );
    Err(Error::new(ErrorCode::ModelInvalid, message)
        .with("path", Detail::Text(path.display().to_string()))
        .with("toolkit", Detail::Text(toolkit.to_string()))
        .with("runtime", Detail::Text(runtime.to_string())))
}

/// What is known to go wrong all the same.
pub(crate) fn warning(toolkit: Option<Version>, runtime: Option<Version>) -> Option<String> {
    let numbers = |version: Version| [version.major, version.minor, version.patch];
    let (toolkit, runtime) = (toolkit?, runtime?);
    ((numbers(toolkit), numbers(runtime)) == MISREAD).then(|| {
        format!(
            "runtime {runtime} is known to misread which tokens end an answer in models of toolkit {toolkit}, so \
             that answers may end too early or not at all; runtime 1.3.1 reads them"
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn version(text: &str) -> Option<Version> {
        Version::parse(text)
    }

    #[test]
    fn only_an_older_runtime_is_in_the_way() {
        for (toolkit, runtime, is_refused) in [
            ("1.3.1", "1.2.3", true),
            ("1.3.1", "1.3.0", true),
            ("1.2.2", "1.2.1", true),
            ("1.2.2", "1.2.2", false),
            ("1.1.4", "1.3.1", false),
            ("next", "1.2.1", false),
            ("1.3.1", "unknown", false),
        ] {
            let refused = refuse_older_runtime(Path::new("m.rkllm"), version(toolkit), version(runtime));
            assert_eq!(refused.is_err(), is_refused, "{toolkit} on {runtime}");
            if let Err(error) = refused {
                assert_eq!(error.code, ErrorCode::ModelInvalid);
                assert!(error.message.contains(toolkit) && error.message.contains(runtime), "{error}");
            }
        }
    }

    #[test]
    fn the_one_known_regression_is_warned_of() {
        assert!(warning(version("1.2.2"), version("1.3.0")).is_some_and(|text| text.contains("1.3.1")));
        for (toolkit, runtime) in [("1.2.2", "1.3.1"), ("1.2.1", "1.3.0"), ("1.3.0", "1.3.0"), ("x", "1.3.0")]
        {
            assert_eq!(warning(version(toolkit), version(runtime)), None, "{toolkit} on {runtime}");
        }
    }
}

//! From what is known of a library to how it is driven, or why not.

use super::probe::{Evidence, Layout};
use super::refusal::Refusal;
use super::version::{Abi, SUPPORTED, Support, Version};

/// How it is known which interface a library has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum DetectedBy {
    /// Its bytes name its version.
    Banner,
    /// Its defaults have the layout.
    Probe,
    /// The caller said so, and its defaults do not say otherwise.
    Override,
}

impl DetectedBy {
    /// The published name.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Banner => "banner",
            Self::Probe => "probe",
            Self::Override => "override",
        }
    }
}

/// A version that the caller says a library has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Claim {
    pub(super) version: Version,
    pub(super) abi: Abi,
}

/// What the version says, before the library is opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Expected(Option<(Abi, DetectedBy)>);

/// Refuses a library by its version and the caller's claim, without opening it.
pub(super) fn expect(banner: Option<Version>, claim: Option<Claim>) -> Result<Expected, Refusal> {
    let Some(version) = banner else {
        return Ok(Expected(claim.map(|claim| (claim.abi, DetectedBy::Override))));
    };
    let refuse = |reason: String| Err(Refusal::new(reason).of(banner));
    match (version.support(), claim) {
        (Support::TooOld, _) => {
            refuse(format!("has version {version}, which is too old; supported are {SUPPORTED}"))
        }
        (Support::Known(abi), Some(claim)) if claim.abi != abi => refuse(format!(
            "has version {version}, whose interface is that of {abi}, but runtime_version says {}",
            claim.version
        )),
        (Support::Known(abi), _) => Ok(Expected(Some((abi, DetectedBy::Banner)))),
        (Support::Unknown, Some(claim)) => Ok(Expected(Some((claim.abi, DetectedBy::Override)))),
        (Support::Unknown, None) => refuse(format!(
            "has version {version}, which this build does not know; supported are {SUPPORTED}. If it has the \
             interface of one of these, name that one as runtime_version"
        )),
    }
}

/// Holds what the version says against what the library's defaults show.
pub(super) fn decide(expected: Expected, evidence: &Evidence) -> Result<(Abi, DetectedBy), Refusal> {
    let shown = match evidence.layout {
        Some(Layout::V11) => {
            return Err(Refusal::new(format!(
                "has the interface of 1.1, which is too old; supported are {SUPPORTED}"
            )));
        }
        Some(Layout::V12) => Some(Abi::V12),
        Some(Layout::V13) => Some(Abi::V13),
        None => None,
    };
    match (expected.0, shown) {
        (Some((abi, _)), _) if evidence.rules_out(abi) => Err(Refusal::new(format!(
            "contradicts itself: the interface should be that of {abi}, but its defaults are laid out {}",
            shown.map_or("like those of no version known".into(), |shown| format!("like those of {shown}"))
        ))),
        (Some((abi, DetectedBy::Override)), None) if !evidence.reaches_as_far_as(abi) => {
            Err(Refusal::new(format!(
                "cannot have the interface of {abi}: its defaults are laid out in another way; supported are {SUPPORTED}"
            )))
        }
        (Some(expected), _) => Ok(expected),
        (None, Some(shown)) => Ok((shown, DetectedBy::Probe)),
        (None, None) => Err(Refusal::new(format!(
            "does not tell its version, neither by its bytes nor by its defaults; name it as runtime_version if \
             you know it to be one of {SUPPORTED}"
        ))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn claim(text: &str) -> Option<Claim> {
        let version = Version::parse(text)?;
        let Support::Known(abi) = version.support() else { return None };
        Some(Claim { version, abi })
    }

    fn outcome(banner: &str, claimed: &str) -> Result<Option<(Abi, DetectedBy)>, String> {
        let expected = expect(Version::parse(banner), claim(claimed));
        expected.map(|expected| expected.0).map_err(|refusal| refusal.reason)
    }

    #[test]
    fn a_known_version_needs_no_claim_and_bears_none_against_it() {
        assert_eq!(outcome("1.2.3", ""), Ok(Some((Abi::V12, DetectedBy::Banner))));
        assert_eq!(outcome("1.3.0", "1.3.1"), Ok(Some((Abi::V13, DetectedBy::Banner))));
        assert!(outcome("1.2.3", "1.3.1").unwrap_err().contains("runtime_version says 1.3.1"));
        assert!(outcome("1.3.1", "1.2.3").unwrap_err().contains("interface is that of 1.3"));
    }

    #[test]
    fn no_claim_makes_an_old_version_good() {
        for version in ["1.0.1", "1.1.4", "1.2.0", "1.2.1b1"] {
            for claimed in ["", "1.2.1", "1.3.1"] {
                let reason = outcome(version, claimed).unwrap_err();
                assert!(reason.contains(version) && reason.contains("1.2.1, 1.2.2"), "{reason}");
            }
        }
    }

    #[test]
    fn an_unknown_version_needs_a_claim() {
        assert!(outcome("1.4.0", "").unwrap_err().contains("runtime_version"));
        assert_eq!(outcome("1.4.0", "1.3.1"), Ok(Some((Abi::V13, DetectedBy::Override))));
        assert_eq!(expect(Version::parse("1.4.0"), None).unwrap_err().found, Version::parse("1.4.0"));
    }

    #[test]
    fn without_evidence_a_banner_counts_and_a_claim_does_not() {
        let evidence = Evidence::none();
        let banner = Expected(Some((Abi::V12, DetectedBy::Banner)));
        assert_eq!(decide(banner, &evidence), Ok((Abi::V12, DetectedBy::Banner)));
        for abi in [Abi::V12, Abi::V13] {
            let claimed = Expected(Some((abi, DetectedBy::Override)));
            assert!(decide(claimed, &evidence).unwrap_err().reason.contains("cannot have"));
        }
        assert!(decide(Expected(None), &evidence).unwrap_err().reason.contains("runtime_version"));
    }
}

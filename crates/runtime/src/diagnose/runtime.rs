use rkllmjs_rkllm::library::{Abi, SUPPORTED, Survey};
use serde_json::{Value, json};

use super::problem::Problem;

/// The library that models on an NPU would run on, and the places that were looked at.
pub(super) fn describe(survey: &Survey) -> Value {
    let tried: Vec<Value> = survey
        .tried
        .iter()
        .map(|tried| {
            let version = tried.version.map(|version| version.to_string());
            json!({ "path": tried.place, "reason": tried.reason, "version": version })
        })
        .collect();
    let found = survey.found.as_ref();
    let version = found.and_then(|found| found.version);
    json!({
        "path": found.map(|found| found.path.display().to_string()),
        "version": version.map(|version| version.to_string()),
        "abi": found.and_then(|found| found.abi).map(|abi| match abi { Abi::V12 => "1.2", Abi::V13 => "1.3" }),
        "detectedBy": version.map(|_| "banner"),
        "standIn": found.is_some_and(|found| found.stand_in),
        "reason": reason(survey),
        "tried": tried,
    })
}

/// Why there is no library, or no version of it.
fn reason(survey: &Survey) -> Option<String> {
    match &survey.found {
        Some(found) if found.version.is_none() => Some(UNVERSIONED.to_owned()),
        Some(_) => None,
        None => Some(missing(survey)),
    }
}

const UNVERSIONED: &str = "the file does not name its version; which interface the library has shows when it is \
                           opened, and a diagnosis opens none";

fn missing(survey: &Survey) -> String {
    let named = || if survey.tried.len() == 1 { survey.tried.first() } else { None };
    // A library that is there but unfit is more worth telling than one that is not.
    match survey.tried.iter().find(|tried| tried.is_there).or_else(named) {
        Some(tried) => format!("{} {}", tried.place, tried.reason),
        None => "librkllmrt.so was not found".to_owned(),
    }
}

/// What is wrong with the library, or with there being none.
pub(super) fn obstacles(survey: &Survey) -> Vec<Problem> {
    let Some(found) = &survey.found else {
        let fix = format!(
            "put Rockchip's librkllmrt.so ({SUPPORTED} are supported) into /usr/lib, or name it as libraryPath or \
             in RKLLMJS_RKLLM_LIBRARY"
        );
        return vec![Problem::error(format!("no NPU runtime: {}", missing(survey))).fixed_by(fix)];
    };
    let path = found.path.display();
    if found.stand_in {
        return vec![Problem::note(format!("{path} is the stand-in, which computes on the CPU"))];
    }
    if found.version.is_none() {
        let fix =
            format!("if the load is refused, name the library's version ({SUPPORTED}) as runtimeVersion");
        return vec![Problem::note(format!("{path}: {UNVERSIONED}")).fixed_by(fix)];
    }
    Vec::new()
}

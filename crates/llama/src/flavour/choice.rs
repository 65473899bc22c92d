use std::collections::BTreeSet;

/// A flavour's name and what it asks of the CPU: names of features as Linux prints them, with spaces between.
#[derive(Debug, Clone, Copy)]
pub(super) struct Level<'a> {
    pub(super) name: &'a str,
    pub(super) needs: &'a str,
}

impl<'a> Level<'a> {
    fn lacking(self, features: &BTreeSet<String>) -> Vec<&'a str> {
        self.needs.split(' ').filter(|name| !features.contains(*name)).collect()
    }
}

/// Which of the levels, best first, to take: the first that a CPU with these features runs, or the one that is wanted
/// by its name. Where the features are not known, only the last is safe.
///
/// # Errors
///
/// Why there is none, for people.
pub(super) fn choose(
    levels: &[Level<'_>],
    features: Option<&BTreeSet<String>>,
    wanted: Option<&str>,
) -> Result<usize, String> {
    let Some(last) = levels.len().checked_sub(1) else {
        return Err("this build has no code for any CPU".to_owned());
    };
    let Some(wanted) = wanted.filter(|name| !name.is_empty()) else {
        let Some(features) = features else { return Ok(last) };
        return levels.iter().position(|level| level.lacking(features).is_empty()).ok_or_else(|| {
            format!(
                "rkllmjs does not run on this CPU: it lacks {}",
                levels[last].lacking(features).join(", ")
            )
        });
    };
    let index = levels.iter().position(|level| level.name == wanted).ok_or_else(|| {
        let names: Vec<&str> = levels.iter().map(|level| level.name).collect();
        format!("RKLLMJS_FLAVOUR must be one of {}, got {wanted:?}", names.join(", "))
    })?;
    match features.map(|features| levels[index].lacking(features)) {
        Some(lacking) if !lacking.is_empty() => {
            Err(format!("RKLLMJS_FLAVOUR is {wanted}, and this CPU lacks {}", lacking.join(", ")))
        }
        _ => Ok(index),
    }
}

/// The features that every core of this machine has: a thread may move to any of them. `None` where nothing tells.
#[cfg(not(target_arch = "aarch64"))]
pub(super) fn features() -> Option<BTreeSet<String>> {
    std::fs::read_to_string("/proc/cpuinfo").ok().map(|text| features_of(&text))
}

/// The same. Linux only tells of what all cores have.
#[cfg(target_arch = "aarch64")]
pub(super) fn features() -> Option<BTreeSet<String>> {
    use std::arch::is_aarch64_feature_detected as has;
    let known = [
        ("asimd", has!("neon")),
        ("asimddp", has!("dotprod")),
        ("asimdhp", has!("fp16")),
        ("fphp", has!("fp16")),
    ];
    Some(known.into_iter().filter(|(_, has)| *has).map(|(name, _)| name.to_owned()).collect())
}

/// Those that every core of a `/proc/cpuinfo` lists.
#[cfg(any(test, not(target_arch = "aarch64")))]
fn features_of(cpuinfo: &str) -> BTreeSet<String> {
    let listed = cpuinfo.lines().filter_map(|line| {
        let (field, names) = line.split_once(':')?;
        let names = || names.split_whitespace().map(str::to_owned).collect::<BTreeSet<String>>();
        matches!(field.trim(), "flags" | "Features").then(names)
    });
    listed.reduce(|all, core| &all & &core).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use serde_json::Value;

    use super::{Level, choose, features_of};

    const X64: &str = include_str!("../../flavours/x86_64.json");
    const ARM64: &str = include_str!("../../flavours/aarch64.json");

    fn field<'a>(flavour: &'a Value, name: &str) -> &'a str {
        flavour[name].as_str().expect("a text")
    }

    /// What a machine gets: `cores` are the features of each.
    fn given(flavours: &str, cores: &[&str], wanted: Option<&str>) -> Result<String, String> {
        let flavours: Vec<Value> = serde_json::from_str(flavours).expect("JSON");
        let level = |flavour| Level { name: field(flavour, "name"), needs: field(flavour, "needs") };
        let levels: Vec<Level<'_>> = flavours.iter().map(level).collect();
        let label = if flavours[0]["name"] == "amx" { "flags" } else { "Features" };
        let cpuinfo: String = cores
            .iter()
            .map(|names| format!("processor\t: 0\n{label}\t\t: {names}\nbugs\t\t:\n\n"))
            .collect();
        choose(&levels, Some(&features_of(&cpuinfo)), wanted).map(|index| levels[index].name.to_owned())
    }

    /// What their machines print, shortened to what any flavour asks for and what might be taken for it.
    const CORE_2: &str = "fpu sse sse2 ht pni ssse3 cx16 lahf_lm";
    const HASWELL: &str = "sse2 ssse3 fma cx16 sse4_1 sse4_2 popcnt avx f16c bmi1 avx2 bmi2";
    const RAPTOR_LAKE: &str = "sse2 ssse3 fma cx16 sse4_2 popcnt avx f16c avx2 bmi2 avx_vnni gfni vaes";
    const CASCADE_LAKE: &str = "ssse3 fma cx16 sse4_2 popcnt avx f16c avx2 bmi2 avx512f avx512dq avx512cd avx512bw avx512vl avx512_vnni";
    const ZEN_4: &str = "ssse3 fma cx16 sse4_2 popcnt avx f16c avx2 bmi2 avx512f avx512dq avx512ifma avx512cd avx512bw \
        avx512vl avx512_bf16 avx512vbmi avx512_vbmi2 avx512_vnni avx512_bitalg";
    const SAPPHIRE_RAPIDS: &str = "ssse3 fma cx16 sse4_2 popcnt avx f16c avx2 bmi2 avx512f avx512dq avx512cd avx512bw \
        avx512vl avx_vnni avx512_bf16 avx512vbmi avx512_vnni avx512_fp16";
    const A53: &str = "fp asimd evtstrm aes pmull sha1 sha2 crc32 cpuid";
    const A76: &str =
        "fp asimd evtstrm aes pmull sha1 sha2 crc32 atomics fphp asimdhp cpuid asimdrdm lrcpc dcpop asimddp";

    #[test]
    fn machines_get_the_best_that_all_of_their_cores_run() {
        let amx = format!("{SAPPHIRE_RAPIDS} amx_bf16 amx_tile amx_int8");
        for (flavours, cores, wanted) in [
            (X64, vec![HASWELL, HASWELL], "avx2"),
            (X64, vec![RAPTOR_LAKE], "avx2"),
            (X64, vec![CASCADE_LAKE], "avx512"),
            (X64, vec![ZEN_4], "avx512"),
            (X64, vec![SAPPHIRE_RAPIDS], "avx512"),
            (X64, vec![&amx], "amx"),
            (X64, vec![&amx, HASWELL], "avx2"),
            (X64, vec!["sse4_2 popcnt ssse3 cx16"], "baseline"),
            (ARM64, vec![A53, A53], "baseline"),
            (ARM64, vec![A76, A76], "dotprod"),
            (ARM64, vec![A53, A76], "baseline"),
        ] {
            assert_eq!(given(flavours, &cores, None).as_deref(), Ok(wanted), "{cores:?}");
        }
    }

    #[test]
    fn a_cpu_that_runs_none_is_told_what_it_lacks() {
        let why = given(X64, &[CORE_2], None).expect_err("too old");
        assert_eq!(why, "rkllmjs does not run on this CPU: it lacks sse4_2, popcnt");
        assert!(given(X64, &[], None).is_err());
    }

    #[test]
    fn where_nothing_tells_the_features_the_least_is_taken() {
        let levels = [Level { name: "good", needs: "avx" }, Level { name: "least", needs: "sse" }];
        assert_eq!(choose(&levels, None, None), Ok(1));
    }

    #[test]
    fn one_can_be_named_if_the_cpu_runs_it() {
        assert_eq!(given(X64, &[CASCADE_LAKE], Some("avx2")).as_deref(), Ok("avx2"));
        assert_eq!(given(X64, &[CASCADE_LAKE], Some("")).as_deref(), Ok("avx512"));
        let why = given(X64, &[HASWELL], Some("avx512")).expect_err("too demanding");
        assert!(why.starts_with("RKLLMJS_FLAVOUR is avx512, and this CPU lacks avx512f, "), "{why}");
        let why = given(X64, &[HASWELL], Some("mmx")).expect_err("no such flavour");
        assert_eq!(why, r#"RKLLMJS_FLAVOUR must be one of amx, avx512, avx2, baseline, got "mmx""#);
    }

    #[test]
    fn every_flavour_asks_for_all_that_the_next_asks_for() {
        for flavours in [X64, ARM64] {
            let flavours: Vec<Value> = serde_json::from_str(flavours).expect("JSON");
            let needs = |flavour| field(flavour, "needs").split(' ').collect::<BTreeSet<&str>>();
            assert!(flavours.windows(2).all(|pair| needs(&pair[0]).is_superset(&needs(&pair[1]))));
        }
    }
}

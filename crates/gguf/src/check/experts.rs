use super::Keys;
use super::hyperparameters::check_per_layer;
use crate::error::Error;

/// `LLAMA_MAX_EXPERTS`.
const MAX_EXPERTS: u64 = 1024;

/// Repeats what llama.cpp asserts about experts, so that a bad count is an error and no abort.
pub(super) fn check(keys: Keys<'_>) -> Result<(), Error> {
    let experts = keys.optional("expert_count", 0..=MAX_EXPERTS)?.unwrap_or_default();
    let layers = keys.u64("block_count").unwrap_or_default();
    let used = check_per_layer(keys, "expert_used_count", layers)?.unwrap_or_default();
    let most_used = used.iter().copied().max().unwrap_or_default();
    // llama.cpp drops a single expert of these two before it looks further.
    if matches!(keys.architecture, "hunyuan_vl" | "hunyuan-dense") && experts <= 1 {
        return Ok(());
    }
    if most_used > experts || (experts > 0 && most_used == 0) {
        let message = format!("is {most_used} for {experts} experts");
        return Err(keys.fault("expert_used_count", message));
    }
    check_groups(keys, experts)
}

fn check_groups(keys: Keys<'_>, experts: u64) -> Result<(), Error> {
    let suffix = "expert_group_count";
    let groups = keys.u64(suffix).unwrap_or_default();
    if groups > 0 && groups >= experts {
        return Err(keys.fault(suffix, format_args!("is {groups} for {experts} experts")));
    }
    if groups <= 1 {
        return Ok(());
    }
    if !experts.is_multiple_of(groups) {
        return Err(keys.fault(suffix, format_args!("is {groups}, which does not divide {experts} experts")));
    }
    let used = keys.u64("expert_group_used_count").unwrap_or_default();
    if used == 0 || used >= groups {
        return Err(keys.fault("expert_group_used_count", format_args!("is {used} of {groups} groups")));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use crate::check_model;
    use crate::testing::{Builder, llama};

    fn experts(count: u32, used: u32) -> Builder {
        llama().u32("llama.expert_count", count).u32("llama.expert_used_count", used)
    }

    fn is_sound(model: &Builder) -> bool {
        check_model(&model.open().unwrap()).is_ok()
    }

    #[test]
    fn refuses_expert_counts_that_llama_cpp_asserts_on() {
        for (count, used) in [(8, 9), (8, 0), (1025, 2), (0, 1)] {
            assert!(!is_sound(&experts(count, used)), "{used} of {count}");
        }
        assert!(is_sound(&experts(8, 2)));
        assert!(is_sound(&experts(0, 0)));
    }

    #[test]
    fn refuses_expert_groups_that_llama_cpp_asserts_on() {
        for (groups, used) in [(8, 1), (3, 1), (4, 0), (4, 4)] {
            let model = experts(8, 2)
                .u32("llama.expert_group_count", groups)
                .u32("llama.expert_group_used_count", used);
            assert!(!is_sound(&model), "{used} of {groups}");
        }
        let model = experts(8, 2).u32("llama.expert_group_count", 4).u32("llama.expert_group_used_count", 2);
        assert!(is_sound(&model));
    }
}

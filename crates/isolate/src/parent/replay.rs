use rkllmjs_core::NativeCall;

use crate::wire::ToChild;

/// What was set up in a child and must be again in the next one, in the order in which it was.
#[derive(Debug, Default)]
pub(super) struct Replay {
    adapters: Vec<(String, String, f32)>,
    calls: Vec<NativeCall>,
}

impl Replay {
    pub(super) fn add_adapter(&mut self, name: &str, path: &str, scale: f32) {
        self.adapters.push((name.to_owned(), path.to_owned(), scale));
    }

    pub(super) fn remove_adapter(&mut self, name: &str) {
        self.adapters.retain(|(other, ..)| other != name);
    }

    /// Remembers a call that has worked, if it changes what comes after it.
    pub(super) fn add_call(&mut self, call: &NativeCall) {
        let is_same_kind = match call {
            NativeCall::SetChatTemplate(_) => |c: &NativeCall| matches!(c, NativeCall::SetChatTemplate(_)),
            NativeCall::SetFunctionTools(_) => |c: &NativeCall| matches!(c, NativeCall::SetFunctionTools(_)),
            NativeCall::LoadPromptCache(_) | NativeCall::ReleasePromptCache => {
                |c: &NativeCall| matches!(c, NativeCall::LoadPromptCache(_))
            }
            NativeCall::ClearCache(_)
            | NativeCall::HiddenStates(_)
            | NativeCall::Logits(_)
            | NativeCall::CacheSize => return,
        };
        self.calls.retain(|other| !is_same_kind(other));
        if *call != NativeCall::ReleasePromptCache {
            self.calls.push(call.clone());
        }
    }

    /// Everything, as it is said to a new child.
    pub(super) fn messages(&self) -> impl Iterator<Item = ToChild<'_>> {
        let adapters = self.adapters.iter().map(|(name, path, scale)| ToChild::LoadAdapter {
            name: name.into(),
            path: path.into(),
            scale: *scale,
        });
        adapters.chain(self.calls.iter().map(|call| ToChild::Native(std::borrow::Cow::Borrowed(call))))
    }
}

#[cfg(test)]
mod tests {
    use rkllmjs_core::{ClearCache, NativeCall};

    use super::Replay;

    #[test]
    fn the_last_setting_of_each_kind_is_kept_and_nothing_else() {
        let template = |text: &str| NativeCall::SetChatTemplate([text.into(), "".into(), "".into()]);
        let mut replay = Replay::default();
        replay.add_adapter("a", "a.rkllm", 1.0);
        replay.add_adapter("b", "b.rkllm", 0.5);
        replay.remove_adapter("a");
        for call in [
            template("first"),
            NativeCall::LoadPromptCache("cache".into()),
            NativeCall::ClearCache(ClearCache::All),
            template("second"),
            NativeCall::CacheSize,
        ] {
            replay.add_call(&call);
        }
        assert_eq!(replay.calls, [NativeCall::LoadPromptCache("cache".into()), template("second")]);
        replay.add_call(&NativeCall::ReleasePromptCache);
        assert_eq!(replay.calls, [template("second")]);
        assert_eq!(replay.messages().count(), 2);
    }
}

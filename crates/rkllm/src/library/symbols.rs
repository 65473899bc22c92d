use std::fmt;

use libloading::os::unix::Library as Handle;
use rkllmjs_rkllm_sys as sys;

/// The functions of a library, typed by the interface it has.
#[derive(Debug, Clone, Copy)]
pub enum Symbols {
    /// Those of 1.2.1 to 1.2.3.
    V12(Functions12),
    /// Those of 1.3.0 and 1.3.1.
    V13(Functions13),
}

/// The function inside a nullable function pointer.
trait Nullable {
    type Function;
}

impl<F> Nullable for Option<F> {
    type Function = F;
}

type Function<N> = <N as Nullable>::Function;

/// A symbol that a library lacks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Missing(pub(super) &'static str);

impl fmt::Display for Missing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "lacks the function {}", self.0)
    }
}

macro_rules! functions {
    ($(#[$doc:meta])* $name:ident { $($field:ident: $type:ident = $symbol:literal,)* }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy)]
        #[expect(missing_docs, reason = "each field is the function of the interface with that name")]
        #[expect(private_interfaces, reason = "the trait only takes the Option off a type")]
        pub struct $name {
            $(pub $field: Function<sys::$type>,)*
        }

        impl $name {
            /// # Safety
            ///
            /// The library must have this interface.
            pub(super) unsafe fn resolve(library: &Handle) -> Result<Self, Missing> {
                Ok(Self {
                    $($field: {
                        // SAFETY: the caller's promise makes this the function's type.
                        let symbol = unsafe { library.get::<Function<sys::$type>>($symbol) };
                        *symbol.map_err(|_| Missing($symbol))?
                    },)*
                })
            }
        }
    };
}

functions! {
    /// What 1.2.1 to 1.2.3 export. Of their functions, `rkllm_run_async` and `rkllm_is_running` are left out
    /// because they cannot be relied upon, and cross attention because no engine of ours has it.
    Functions12 {
        create_default_param: rkllm12_create_default_param_fn = "rkllm_createDefaultParam",
        init: rkllm12_init_fn = "rkllm_init",
        load_lora: rkllm12_load_lora_fn = "rkllm_load_lora",
        load_prompt_cache: rkllm12_load_prompt_cache_fn = "rkllm_load_prompt_cache",
        release_prompt_cache: rkllm12_release_prompt_cache_fn = "rkllm_release_prompt_cache",
        destroy: rkllm12_destroy_fn = "rkllm_destroy",
        run: rkllm12_run_fn = "rkllm_run",
        abort: rkllm12_abort_fn = "rkllm_abort",
        clear_kv_cache: rkllm12_clear_kv_cache_fn = "rkllm_clear_kv_cache",
        get_kv_cache_size: rkllm12_get_kv_cache_size_fn = "rkllm_get_kv_cache_size",
        set_chat_template: rkllm12_set_chat_template_fn = "rkllm_set_chat_template",
        set_function_tools: rkllm12_set_function_tools_fn = "rkllm_set_function_tools",
    }
}

functions! {
    /// What 1.3.0 and 1.3.1 export, with the same left out.
    Functions13 {
        create_default_param: rkllm13_create_default_param_fn = "rkllm_createDefaultParam",
        init: rkllm13_init_fn = "rkllm_init",
        load_lora: rkllm13_load_lora_fn = "rkllm_load_lora",
        load_prompt_cache: rkllm13_load_prompt_cache_fn = "rkllm_load_prompt_cache",
        release_prompt_cache: rkllm13_release_prompt_cache_fn = "rkllm_release_prompt_cache",
        destroy: rkllm13_destroy_fn = "rkllm_destroy",
        run: rkllm13_run_fn = "rkllm_run",
        abort: rkllm13_abort_fn = "rkllm_abort",
        clear_kv_cache: rkllm13_clear_kv_cache_fn = "rkllm_clear_kv_cache",
        get_kv_cache_size: rkllm13_get_kv_cache_size_fn = "rkllm_get_kv_cache_size",
        set_chat_template: rkllm13_set_chat_template_fn = "rkllm_set_chat_template",
        set_function_tools: rkllm13_set_function_tools_fn = "rkllm_set_function_tools",
    }
}

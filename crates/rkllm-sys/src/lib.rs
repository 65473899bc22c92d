//! The C interface of Rockchip's RKLLM runtime (`librkllmrt.so`), as data layouts and function types.
//!
//! Nothing is linked: the library is opened at run time by `rkllmjs-rkllm`, which also decides which family
//! of types it gets. The family is decided by the library's version, because no symbol tells:
//!
//! - `rkllm12_*` is the layout of the releases 1.2.1, 1.2.2 and 1.2.3.
//! - `rkllm13_*` is that of 1.3.1. The release 1.3.0 has a smaller input, `rkllm130_input`; everything else
//!   of it is the same.
//!
//! Where both families lay a struct out alike, the `rkllm13_*` name is an alias of the `rkllm12_*` type.
//! Enumerations are plain integers and flags are bytes, so that no value a library writes is undefined.

mod bindings {
    #![expect(
        non_camel_case_types,
        missing_docs,
        unsafe_code,
        clippy::allow_attributes,
        clippy::allow_attributes_without_reason,
        clippy::multiple_unsafe_ops_per_block,
        clippy::undocumented_unsafe_blocks,
        reason = "generated: C names, fields that explain themselves, zeroed defaults of plain data"
    )]

    include!(concat!(env!("OUT_DIR"), "/bindings.rs"));
}

pub use bindings::*;

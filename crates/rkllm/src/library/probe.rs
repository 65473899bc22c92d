//! Tells the two interfaces apart by what `rkllm_createDefaultParam` writes.
//!
//! The function is called twice, each time into a slot filled with another byte. What is equal to both
//! fillings was not written. So it is known how far the library's struct goes, and what its fields hold,
//! without knowing which struct it is: the slot is larger than any.

use super::version::Abi;

/// More than twice the largest struct known.
pub(super) const SLOT_BYTES: usize = 512;

/// What a library writes its defaults into.
pub(super) type Slot = [u8; SLOT_BYTES];

const FILLINGS: [u8; 2] = [0xa5, 0x5a];

/// What the defaults of a library showed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Evidence {
    /// The one layout that everything agrees with.
    pub(super) layout: Option<Layout>,
    /// Bytes up to the last one written.
    extent: usize,
}

/// A layout of the settings of a model.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Layout {
    /// That of 1.1, which is too old.
    V11,
    V12,
    V13,
}

/// Where a layout has what tells it apart. Everything before these fields is alike but for 1.1.
struct Marks {
    layout: Layout,
    /// Bytes of the struct.
    size: usize,
    top_p: usize,
    /// Three pointers in a row.
    pointers: Option<usize>,
    /// A number followed by a flag and a count of processors.
    extend: usize,
    /// How far a library writes that leaves the reserved bytes alone, and one that does not.
    extents: [std::ops::RangeInclusive<usize>; 2],
}

const LAYOUTS: [Marks; 3] = [
    Marks {
        layout: Layout::V11,
        size: 200,
        top_p: 20,
        pointers: Some(56),
        extend: 80,
        extents: [82..=88, 192..=200],
    },
    Marks {
        layout: Layout::V12,
        size: 208,
        top_p: 24,
        pointers: Some(64),
        extend: 88,
        extents: [94..=112, 204..=208],
    },
    Marks {
        layout: Layout::V13,
        size: 184,
        top_p: 24,
        pointers: None,
        extend: 60,
        extents: [66..=80, 174..=184],
    },
];

impl Evidence {
    /// Reads what two calls left of two slots that were filled with [`FILLINGS`].
    pub(super) fn read(slots: [&Slot; 2]) -> Self {
        let written = |at: usize| slots[0][at] != FILLINGS[0] || slots[1][at] != FILLINGS[1];
        let extent = (0..SLOT_BYTES).rev().find(|&at| written(at)).map_or(0, |at| at + 1);
        let mut fitting = LAYOUTS.iter().filter(|marks| marks.fit(slots, &written, extent));
        let layout = match (fitting.next(), fitting.next()) {
            (Some(marks), None) => Some(marks.layout),
            _ => None,
        };
        Self { layout, extent }
    }

    /// No evidence, where no call can be made.
    #[cfg(any(test, not(any(target_arch = "x86_64", target_arch = "aarch64"))))]
    pub(super) const fn none() -> Self {
        Self { layout: None, extent: 0 }
    }

    /// Whether this cannot be a library of `abi`: its defaults have another layout, or do not fit the struct.
    pub(super) fn rules_out(&self, abi: Abi) -> bool {
        let marks = marks(abi);
        self.layout.is_some_and(|layout| layout != marks.layout) || self.extent > marks.size
    }

    /// Whether it writes as far as libraries of `abi` do. The interfaces have no such length in common, so
    /// that this alone keeps one from being taken for the other.
    pub(super) fn reaches_as_far_as(&self, abi: Abi) -> bool {
        marks(abi).extents.iter().any(|extent| extent.contains(&self.extent))
    }
}

fn marks(abi: Abi) -> &'static Marks {
    match abi {
        Abi::V12 => &LAYOUTS[1],
        Abi::V13 => &LAYOUTS[2],
    }
}

impl Marks {
    fn fit(&self, slots: [&Slot; 2], written: &impl Fn(usize) -> bool, extent: usize) -> bool {
        let goes_that_far = self.extents.iter().any(|range| range.contains(&extent));
        let number = |at: usize| u32::from_le_bytes([0, 1, 2, 3].map(|byte| slots[0][at + byte]));
        let is_written = |at: usize, bytes: usize| (at..at + bytes).all(written);
        let top_p = f32::from_bits(number(self.top_p));
        // Whatever the defaults are: a probability, a small number.
        goes_that_far
            && is_written(self.top_p, 4)
            && (0.01..=1.0).contains(&top_p)
            && self.pointers.is_none_or(|first| {
                (0..3).all(|n| is_written(first + 8 * n, 8) && is_pointer(slots[0], first + 8 * n))
            })
            && is_written(self.extend, 4)
            && number(self.extend) <= 16
            && (self.layout == Layout::V11 || has_processors(slots[0], self.extend + 4))
    }
}

/// Null, or an address where programs have theirs.
fn is_pointer(slot: &Slot, at: usize) -> bool {
    let address = u64::from_le_bytes([0, 1, 2, 3, 4, 5, 6, 7].map(|byte| slot[at + byte]));
    address == 0 || (0x1000..1 << 56).contains(&address)
}

/// A flag, then a count of processors.
fn has_processors(slot: &Slot, at: usize) -> bool {
    slot[at] <= 1 && (1..=8).contains(&slot[at + 1])
}

/// Calls `create` twice and reads what it left.
///
/// # Safety
///
/// `create` must be the address of a function of C that takes nothing and returns a struct of more than 16
/// and at most [`SLOT_BYTES`] bytes of plain data.
pub(super) unsafe fn probe(create: *const ()) -> Evidence {
    // SAFETY: the caller's promise.
    match unsafe { defaults(create) } {
        Some(slots) => Evidence::read([&slots[0], &slots[1]]),
        None => Evidence { layout: None, extent: 0 },
    }
}

/// What two calls of `create` leave of two slots, each filled with another byte before: what differs was not
/// written. `None` on machines where no call can be made.
///
/// # Safety
///
/// `create` must be the address of a function of C that takes nothing and returns a struct of more than 16
/// and at most 512 bytes of plain data.
pub unsafe fn defaults(create: *const ()) -> Option<[[u8; SLOT_BYTES]; 2]> {
    let mut slots = FILLINGS.map(|filling| [filling; SLOT_BYTES]);
    for slot in &mut slots {
        // SAFETY: the caller's promise, and the slot is large enough.
        if !unsafe { call(create, slot) } {
            return None;
        }
    }
    Some(slots)
}

/// Calls a function that returns a large struct, with `slot` as the place for it, and keeps what it does not
/// write. A return type of Rust would not: the compiler may take another place and copy.
///
/// # Safety
///
/// As [`probe`].
#[cfg(target_arch = "x86_64")]
unsafe fn call(create: *const (), slot: &mut Slot) -> bool {
    // The System V ABI passes the place of a large result as if it were the first parameter, and returns it.
    type Create = unsafe extern "C" fn(*mut Slot) -> *mut Slot;
    // SAFETY: the caller's promise is what this type says on this machine.
    let create = unsafe { std::mem::transmute::<*const (), Create>(create) };
    // SAFETY: the slot is writable and larger than the struct.
    unsafe { create(slot) };
    true
}

/// As above. AArch64 passes the place in `x8`, which no type of Rust can say.
///
/// # Safety
///
/// As [`probe`].
#[cfg(target_arch = "aarch64")]
unsafe fn call(create: *const (), slot: &mut Slot) -> bool {
    // SAFETY: a call by the standard of this machine; everything it may change is declared, and the slot is
    // writable and larger than the struct.
    unsafe {
        std::arch::asm!(
            "blr {create}",
            create = in(reg) create,
            inlateout("x8") std::ptr::from_mut(slot) => _,
            clobber_abi("C"),
        );
    }
    true
}

/// As above, on machines that have no runtime.
///
/// # Safety
///
/// None is needed.
#[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
unsafe fn call(_create: *const (), _slot: &mut Slot) -> bool {
    false
}

#[cfg(test)]
mod tests {
    use rkllmjs_rkllm_sys as sys;

    use super::*;
    use crate::testing::Random;

    const EMPTY: &[u8] = &0x7f12_3456_7890_u64.to_le_bytes();
    const CORE: [(usize, &[u8]); 9] = [
        (0, &[0; 8]),
        (8, &512_i32.to_le_bytes()),
        (12, &(-1_i32).to_le_bytes()),
        (16, &40_i32.to_le_bytes()),
        (20, &(-1_i32).to_le_bytes()),
        (24, &0.9_f32.to_le_bytes()),
        (28, &0.8_f32.to_le_bytes()),
        (32, &1.1_f32.to_le_bytes()),
        (36, &[0; 12]),
    ];
    const SAMPLING: [(usize, &[u8]); 2] = [(48, &5.0_f32.to_le_bytes()), (52, &0.1_f32.to_le_bytes())];

    /// What the published analysis of 1.2.1b1 shows: the mask is not written on odd machines.
    fn v12(mask: &'static [u8]) -> Vec<(usize, &'static [u8])> {
        let mut all: Vec<(usize, &[u8])> = CORE.iter().chain(&SAMPLING).copied().collect();
        let pointers = [(64, EMPTY), (72, EMPTY), (80, EMPTY)];
        all.extend(pointers);
        all.extend([(56, &[1_u8, 0][..]), (88, &[0; 4]), (92, &[1, 4]), (96, mask)]);
        all
    }

    fn v13() -> Vec<(usize, &'static [u8])> {
        let mut all: Vec<(usize, &[u8])> = CORE.iter().chain(&SAMPLING).copied().collect();
        all.extend([
            (56, &[1_u8, 0, 0][..]),
            (60, &[0; 4]),
            (64, &[1, 4]),
            (68, &[0xf0, 0, 0, 0]),
            (72, &[1, 0]),
        ]);
        all
    }

    fn v11() -> Vec<(usize, &'static [u8])> {
        const FLOATS: [(usize, &[u8]); 6] = [
            (20, &0.9_f32.to_le_bytes()),
            (24, &0.8_f32.to_le_bytes()),
            (28, &1.1_f32.to_le_bytes()),
            (32, &[0; 12]),
            (44, &5.0_f32.to_le_bytes()),
            (48, &0.1_f32.to_le_bytes()),
        ];
        let mut all: Vec<(usize, &[u8])> = CORE[..4].iter().chain(&FLOATS).copied().collect();
        all.extend([(52, &[1_u8, 0][..]), (56, EMPTY), (64, EMPTY), (72, EMPTY), (80, &[0; 4])]);
        all
    }

    /// The slots after a library wrote `fields` over `whole` bytes of zeros, or over nothing.
    fn slots(fields: &[(usize, &[u8])], whole: usize) -> [Slot; 2] {
        FILLINGS.map(|filling| {
            let mut slot = [filling; SLOT_BYTES];
            slot[..whole].fill(0);
            for (at, bytes) in fields {
                slot[*at..at + bytes.len()].copy_from_slice(bytes);
            }
            slot
        })
    }

    fn read(fields: &[(usize, &[u8])], whole: usize) -> Evidence {
        let [first, second] = slots(fields, whole);
        Evidence::read([&first, &second])
    }

    #[test]
    fn each_layout_is_recognised_whether_or_not_all_of_it_is_written() {
        for whole in [0, 206, 208] {
            assert_eq!(read(&v12(&[0xf0, 0, 0, 0]), whole).layout, Some(Layout::V12), "{whole}");
            assert_eq!(read(&v12(&[]), whole).layout, Some(Layout::V12), "{whole}, no mask");
        }
        for whole in [0, 178, 184] {
            assert_eq!(read(&v13(), whole).layout, Some(Layout::V13), "{whole}");
        }
        for whole in [0, 196, 200] {
            assert_eq!(read(&v11(), whole).layout, Some(Layout::V11), "{whole}");
        }
    }

    #[test]
    fn what_fits_no_layout_is_no_evidence() {
        for (fields, whole) in
            [(vec![], 0), (vec![], 184), (vec![], 208), (vec![], 512), (v12(&[]), 184), (v13(), 208)]
        {
            assert_eq!(read(&fields, whole).layout, None, "{} fields, {whole} bytes", fields.len());
        }
    }

    #[test]
    fn a_library_of_one_interface_is_never_taken_for_the_other() {
        for evidence in [read(&v12(&[]), 0), read(&v12(&[0x0f]), 208), read(&[], 208), read(&[], 206)] {
            assert!(!evidence.reaches_as_far_as(Abi::V13), "{evidence:?}");
            assert!(evidence.reaches_as_far_as(Abi::V12), "{evidence:?}");
        }
        for evidence in [read(&v13(), 0), read(&v13(), 184), read(&[], 178), read(&[], 184)] {
            assert!(!evidence.reaches_as_far_as(Abi::V12), "{evidence:?}");
            assert!(evidence.reaches_as_far_as(Abi::V13), "{evidence:?}");
        }
        assert!(read(&v12(&[]), 0).rules_out(Abi::V13) && !read(&v12(&[]), 0).rules_out(Abi::V12));
        assert!(read(&v13(), 0).rules_out(Abi::V12) && !read(&v13(), 0).rules_out(Abi::V13));
        assert!(read(&v11(), 0).rules_out(Abi::V12) && read(&v11(), 0).rules_out(Abi::V13));
    }

    #[test]
    fn a_struct_that_is_larger_than_ours_rules_everything_out() {
        let evidence = read(&v13(), 240);
        assert!(evidence.rules_out(Abi::V12) && evidence.rules_out(Abi::V13));
    }

    #[test]
    fn the_table_has_the_sizes_of_the_structs() {
        assert_eq!(marks(Abi::V12).size, size_of::<sys::rkllm12_param>());
        assert_eq!(marks(Abi::V13).size, size_of::<sys::rkllm13_param>());
        for abi in [Abi::V12, Abi::V13] {
            assert!(marks(abi).extents.iter().all(|extent| *extent.end() <= marks(abi).size));
        }
    }

    #[test]
    fn random_bytes_never_contradict_themselves() {
        let mut random = Random::new(11);
        for _ in 0..20_000 {
            let mut pair = slots(&[], 0);
            let bytes: Vec<u8> = (0..random.below(SLOT_BYTES + 1)).map(|_| random.byte()).collect();
            let end = bytes.len();
            pair.iter_mut().for_each(|slot| slot[..end].copy_from_slice(&bytes));
            let evidence = Evidence::read([&pair[0], &pair[1]]);
            assert!(evidence.extent <= end);
            assert!(!(evidence.reaches_as_far_as(Abi::V12) && evidence.reaches_as_far_as(Abi::V13)));
        }
    }

    extern "C" fn create_12() -> sys::rkllm12_param {
        let mut param = sys::rkllm12_param { top_k: 40, top_p: 0.9, n_keep: -1, ..Default::default() };
        param.img_start = c"".as_ptr();
        param.img_end = c"".as_ptr();
        param.img_content = c"".as_ptr();
        param.extend_param.embed_flash = 1;
        param.extend_param.enabled_cpus_num = 4;
        param
    }

    extern "C" fn create_13() -> sys::rkllm13_param {
        let mut param = sys::rkllm13_param { top_k: 40, top_p: 0.9, n_keep: -1, ..Default::default() };
        param.extend_param.enabled_cpus_num = 4;
        param
    }

    #[test]
    fn functions_of_both_interfaces_are_told_apart_by_calling_them() {
        // SAFETY: a function of C that returns a struct of 208 bytes.
        let evidence = unsafe { probe(create_12 as *const ()) };
        assert_eq!(evidence.layout, Some(Layout::V12));
        // SAFETY: a function of C that returns a struct of 184 bytes.
        let evidence = unsafe { probe(create_13 as *const ()) };
        assert_eq!(evidence.layout, Some(Layout::V13));
    }
}

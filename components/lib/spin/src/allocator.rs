//! The allocator of the components: talc, which is quicker than the C library's.

#![allow(
    unsafe_code,
    reason = "an allocator is unsafe to call; every call is passed on as it came"
)]

use std::alloc::{GlobalAlloc, Layout};

use talc::wasm::{WasmDynamicTalc, new_wasm_dynamic_allocator};

static TALC: WasmDynamicTalc = new_wasm_dynamic_allocator();

#[global_allocator]
static ALLOCATOR: Calls = Calls;

/// Calls of talc that are not inlined: its code at each of some thousand places made the components a third larger, and no quicker.
struct Calls;

// SAFETY: talc upholds what is asked of an allocator, and gets what the caller upholds.
unsafe impl GlobalAlloc for Calls {
    #[inline(never)]
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // SAFETY: as the caller says.
        unsafe { TALC.alloc(layout) }
    }

    #[inline(never)]
    unsafe fn dealloc(&self, memory: *mut u8, layout: Layout) {
        // SAFETY: as the caller says.
        unsafe { TALC.dealloc(memory, layout) }
    }

    #[inline(never)]
    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        // SAFETY: as the caller says.
        unsafe { TALC.alloc_zeroed(layout) }
    }

    #[inline(never)]
    unsafe fn realloc(&self, memory: *mut u8, layout: Layout, bytes: usize) -> *mut u8 {
        // SAFETY: as the caller says.
        unsafe { TALC.realloc(memory, layout, bytes) }
    }
}

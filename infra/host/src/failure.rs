//! One line for an instance that failed; where it stood is shown to whoever asks for more.

use wasmtime::Trap;
use wasmtime_wasi_http::handler::TrapOrPanicError;

/// Whether the guest itself broke: it trapped or panicked.
pub(crate) fn is_trap(error: &wasmtime::Error) -> bool {
    error.is::<Trap>() || error.is::<TrapOrPanicError>()
}

/// Logs why an instance of a component ended.
pub(crate) fn log(component: &str, replica: &str, error: &wasmtime::Error) {
    tracing::warn!(
        component,
        replica,
        "an instance failed: {}",
        error.root_cause()
    );
    tracing::debug!(component, replica, "it stood here: {error:?}");
}

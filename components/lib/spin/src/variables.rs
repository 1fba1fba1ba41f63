//! The variables of the manifest, asked for anew once a second.

use std::cell::RefCell;
use std::collections::HashMap;

use trawl_app::ports::Variables;
use trawl_core::limits::variables::KEPT_MS;

use crate::time::monotonic_ms;

/// The manifest's variables, kept for a moment.
#[derive(Default)]
pub struct SpinVariables {
    kept: RefCell<HashMap<&'static str, Kept>>,
}

struct Kept {
    value: Option<String>,
    until_ms: u64,
}

impl Variables for SpinVariables {
    async fn get(&self, name: &'static str) -> Option<String> {
        let now_ms = monotonic_ms();
        if let Some(kept) = self.kept.borrow().get(name)
            && kept.until_ms > now_ms
        {
            return kept.value.clone();
        }
        let value = match spin_sdk::variables::get(name).await {
            Ok(value) => (!value.is_empty()).then_some(value),
            Err(spin_sdk::variables::Error::Undefined(_)) => None,
            Err(error) => {
                // A provider that fails for a moment must not switch a safety setting to its default: the last value known stays.
                eprintln!("variable {name} can't be read: {error}");
                return self
                    .kept
                    .borrow()
                    .get(name)
                    .and_then(|kept| kept.value.clone());
            }
        };
        let kept = Kept {
            value: value.clone(),
            until_ms: now_ms + KEPT_MS,
        };
        self.kept.borrow_mut().insert(name, kept);
        value
    }
}

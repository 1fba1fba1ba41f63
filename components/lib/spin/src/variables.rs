//! The variables of the manifest, asked for anew once a second.

use std::cell::RefCell;
use std::collections::HashMap;

use trawl_app::ports::{Unreadable, Variables};
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
        self.read(name).await.unwrap_or_default()
    }

    async fn read(&self, name: &'static str) -> Result<Option<String>, Unreadable> {
        let now_ms = monotonic_ms();
        if let Some(kept) = self.kept.borrow().get(name)
            && kept.until_ms > now_ms
        {
            return Ok(kept.value.clone());
        }
        let value = match spin_sdk::variables::get(name).await {
            Ok(value) => (!value.is_empty()).then_some(value),
            Err(spin_sdk::variables::Error::Undefined(_)) => None,
            Err(error) => {
                // A provider that fails for a moment must not switch a safety setting to its default: the last value known stays.
                eprintln!("variable {name} can't be read: {error}");
                let kept = self.kept.borrow();
                return kept
                    .get(name)
                    .map(|kept| kept.value.clone())
                    .ok_or(Unreadable);
            }
        };
        let kept = Kept {
            value: value.clone(),
            until_ms: now_ms + KEPT_MS,
        };
        self.kept.borrow_mut().insert(name, kept);
        Ok(value)
    }
}

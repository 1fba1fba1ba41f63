//! Answers that an instance still writes. A request is the instance's until its head is there, and one that writes twenty large
//! results would be given the next one, until its memory is full; and would end some time after the last head, also in the middle of
//! a result that a slow client reads.

use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, OnceLock};
use std::time::Instant;

use http_body_util::BodyExt as _;
use trawl_balance::body::{Body, Polled, Seen, Watch};
use trawl_core::limits::host as limits;

use crate::moment::Moment;

/// What one instance still writes.
#[derive(Debug, Default)]
pub(crate) struct Writing {
    /// As long as the answers are whose head is out and whose end is not.
    bytes: AtomicU64,
    /// When a piece was taken last.
    taken: Moment,
}

impl Writing {
    /// When a piece of any of them was taken last.
    pub(crate) fn taken(&self) -> Instant {
        self.taken.last()
    }

    /// Whether it is so much that the instance should be given no more requests.
    pub(crate) fn is_full(&self) -> bool {
        self.bytes.load(Relaxed) >= limits::INSTANCE_WRITES_BYTES
    }

    #[cfg(test)]
    pub(crate) fn fill(&self, is_full: bool) {
        let bytes = limits::INSTANCE_WRITES_BYTES * u64::from(is_full);
        self.bytes.store(bytes, Relaxed);
    }
}

/// Goes with a request, and learns which instance it was given to.
#[derive(Debug, Default)]
pub(crate) struct GivenTo(OnceLock<Arc<Writing>>);

impl GivenTo {
    /// This instance has it.
    pub(crate) fn tell(&self, instance: &Arc<Writing>) {
        // It is given away once.
        let _ = self.0.set(Arc::clone(instance));
    }

    /// The rest of its answer of so many bytes, counted for the instance until it ends or is dropped.
    pub(crate) fn counted(&self, body: Body, bytes: u64) -> Body {
        match self.0.get() {
            None => body,
            Some(instance) => {
                instance.bytes.fetch_add(bytes, Relaxed);
                instance.taken.note();
                let instance = Arc::clone(instance);
                Seen::new(body, Counted { instance, bytes }).boxed_unsync()
            }
        }
    }
}

struct Counted {
    instance: Arc<Writing>,
    bytes: u64,
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.instance.bytes.fetch_sub(self.bytes, Relaxed);
    }
}

impl Watch for Counted {
    fn seen(&mut self, polled: Polled, _: &Body) -> Polled {
        if polled.is_ready() {
            self.instance.taken.note();
        }
        polled
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn body() -> Body {
        trawl_balance::body::full("a long result")
    }

    #[tokio::test]
    async fn an_answer_counts_for_its_instance_until_it_is_dropped_and_tells_when_it_is_read() {
        let instance = Arc::new(Writing::default());
        let given = GivenTo::default();
        given.tell(&instance);
        let mut read = given.counted(body(), 1);
        assert!(!instance.is_full());
        let unread = given.counted(body(), limits::INSTANCE_WRITES_BYTES - 1);
        assert!(instance.is_full());
        let before = instance.taken();
        while Instant::now() < before + Duration::from_millis(2) {
            std::hint::spin_loop();
        }
        let piece = read.frame().await.unwrap().unwrap().into_data().unwrap();
        assert_eq!(piece, "a long result");
        assert!(instance.taken() > before);
        drop(unread);
        assert!(!instance.is_full());
        drop(read);
        assert_eq!(instance.bytes.load(Relaxed), 0);
    }

    #[tokio::test]
    async fn what_no_instance_was_given_is_passed_on() {
        let given = GivenTo::default();
        let rest = given.counted(body(), limits::INSTANCE_WRITES_BYTES);
        assert_eq!(rest.collect().await.unwrap().to_bytes(), "a long result");
    }
}

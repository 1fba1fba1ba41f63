//! Answers that an instance still writes. wasmtime counts a request until its head is there, and an instance that writes twenty large
//! results would be given the next one, until its memory is full; and it ends an instance some time after the last head, also in the
//! middle of a result that a slow client reads.

use std::sync::atomic::Ordering::Relaxed;
use std::sync::atomic::{AtomicU64, AtomicUsize};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use http_body_util::BodyExt as _;
use trawl_balance::body::{Body, Polled, Seen, Watch};

/// What one instance still writes.
#[derive(Debug)]
pub(crate) struct Writing {
    born: Instant,
    answers: AtomicUsize,
    /// Milliseconds from `born` to when a piece was taken last.
    taken_ms: AtomicU64,
}

impl Default for Writing {
    fn default() -> Self {
        Self {
            born: Instant::now(),
            answers: AtomicUsize::new(0),
            taken_ms: AtomicU64::new(0),
        }
    }
}

impl Writing {
    /// Answers whose head is out and whose end is not.
    pub(crate) fn answers(&self) -> usize {
        self.answers.load(Relaxed)
    }

    /// When a piece of any of them was taken last.
    pub(crate) fn taken(&self) -> Instant {
        self.born + Duration::from_millis(self.taken_ms.load(Relaxed))
    }

    fn take(&self) {
        let ms = u64::try_from(self.born.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.taken_ms.store(ms, Relaxed);
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

    /// The rest of its answer, counted for the instance until it ends or is dropped.
    pub(crate) fn counted(&self, body: Body) -> Body {
        match self.0.get() {
            None => body,
            Some(instance) => {
                instance.answers.fetch_add(1, Relaxed);
                instance.take();
                Seen::new(body, Counted(Arc::clone(instance))).boxed_unsync()
            }
        }
    }
}

struct Counted(Arc<Writing>);

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.answers.fetch_sub(1, Relaxed);
    }
}

impl Watch for Counted {
    fn seen(&mut self, polled: Polled, _: &Body) -> Polled {
        if polled.is_ready() {
            self.0.take();
        }
        polled
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn body() -> Body {
        trawl_balance::body::full("a long result")
    }

    #[tokio::test]
    async fn an_answer_counts_for_its_instance_until_it_is_dropped_and_tells_when_it_is_read() {
        let instance = Arc::new(Writing::default());
        let given = GivenTo::default();
        given.tell(&instance);
        let mut read = given.counted(body());
        let unread = given.counted(body());
        assert_eq!(instance.answers(), 2);
        let before = instance.taken();
        while Instant::now() < before + Duration::from_millis(2) {
            std::hint::spin_loop();
        }
        let piece = read.frame().await.unwrap().unwrap().into_data().unwrap();
        assert_eq!(piece, "a long result");
        assert!(instance.taken() > before);
        drop((read, unread));
        assert_eq!(instance.answers(), 0);
    }

    #[tokio::test]
    async fn what_no_instance_was_given_is_passed_on() {
        let rest = GivenTo::default().counted(body());
        assert_eq!(rest.collect().await.unwrap().to_bytes(), "a long result");
    }
}

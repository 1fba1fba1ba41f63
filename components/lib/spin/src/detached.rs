//! Work after the answer.

use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, Mutex};
use std::task::{Context, Wake, Waker};

/// Work that nobody waits for.
type Work = Pin<Box<dyn Future<Output = ()> + Send>>;

/// Does `work` whenever the host has news for it, until its end; the host keeps the task alive as long as that takes.
///
/// What is spawned becomes a task of the runtime, which asks for another turn of the instance, and mostly gets one for nothing,
/// each time it has looked at its only task. This is for what waits for the host alone: it is looked at when that answers, and
/// at no other time.
pub(crate) fn detach(work: impl Future<Output = ()> + Send + 'static) {
    Arc::new(Detached {
        work: Mutex::new(Some(Box::pin(work))),
        is_woken: AtomicBool::new(false),
    })
    .wake();
}

struct Detached {
    work: Mutex<Option<Work>>,
    /// Woken, also by itself while it is looked at.
    is_woken: AtomicBool,
}

impl Wake for Detached {
    fn wake(self: Arc<Self>) {
        self.is_woken.store(true, Relaxed);
        // Taken by whoever looks at it already: that look sees the mark above.
        let Ok(mut work) = self.work.try_lock() else {
            return;
        };
        let waker = Waker::from(Arc::clone(&self));
        let mut context = Context::from_waker(&waker);
        while self.is_woken.swap(false, Relaxed) {
            let Some(under_way) = work.as_mut() else {
                return;
            };
            if under_way.as_mut().poll(&mut context).is_ready() {
                *work = None;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicUsize;

    use futures::channel::oneshot;

    use super::*;

    fn counting(count: &Arc<AtomicUsize>) -> impl FnOnce() + Send + 'static {
        let count = Arc::clone(count);
        move || {
            count.fetch_add(1, Relaxed);
        }
    }

    #[test]
    fn it_goes_on_where_it_waits_and_is_dropped_at_its_end() {
        let done = Arc::new(AtomicUsize::new(0));
        let ((first, first_came), (second, second_came)) = (oneshot::channel(), oneshot::channel());
        let count = counting(&done);
        detach(async move {
            let (Ok(()), Ok(())) = (first_came.await, second_came.await) else {
                return;
            };
            count();
        });
        first.send(()).unwrap();
        assert_eq!(done.load(Relaxed), 0);
        second.send(()).unwrap();
        assert_eq!(done.load(Relaxed), 1);
        assert_eq!(Arc::strong_count(&done), 1, "what it held is given back");
    }

    #[test]
    fn it_may_wake_itself() {
        let done = Arc::new(AtomicUsize::new(0));
        let count = counting(&done);
        detach(async move {
            let mut looks = 0;
            std::future::poll_fn(|context| {
                looks += 1;
                context.waker().wake_by_ref();
                if looks < 5 {
                    std::task::Poll::Pending
                } else {
                    std::task::Poll::Ready(())
                }
            })
            .await;
            count();
        });
        assert_eq!(done.load(Relaxed), 1);
    }
}

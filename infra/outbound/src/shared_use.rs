//! One use of an HTTP/2 connection that others may use too.

use crate::connection::Http2;
use crate::pool::{Key, Pool};
use std::ops::Deref;
use std::sync::Arc;

/// Keeps the connection from being closed as unused. However it ends, by a complete body or by a request that is given up
/// half-way, the pool is told, because somebody may wait for the place of the connection.
pub(crate) struct SharedUse {
    pool: Arc<Pool>,
    key: Arc<Key>,
    http2: Arc<Http2>,
}

impl SharedUse {
    /// A use that the pool has counted.
    pub(crate) fn counted(pool: &Arc<Pool>, key: &Arc<Key>, http2: Arc<Http2>) -> Self {
        Self {
            pool: Arc::clone(pool),
            key: Arc::clone(key),
            http2,
        }
    }

    /// No new request goes over the connection. Those that are under way may end as they will.
    pub(crate) fn forget(&self) {
        self.pool.forget_http2(&self.key, &self.http2);
    }
}

impl Deref for SharedUse {
    type Target = Http2;

    fn deref(&self) -> &Http2 {
        &self.http2
    }
}

impl Drop for SharedUse {
    fn drop(&mut self) {
        self.pool.end_use(&self.key, &self.http2);
    }
}

//! What we are compared with beside the native program and the peers, measured in the same run on the same machine.

mod nginx;
mod sqlite;

pub(crate) use nginx::{nginx, nginx_proxy};
pub(crate) use sqlite::raw_sqlite;

//! The suite over the local host's database: one writer that commits many statements together, several readers.

use trawl_conformance::{Local, exercise};

#[tokio::test(flavor = "current_thread")]
async fn the_store_conforms_over_the_local_hosts_database() {
    exercise(Local::new).await;
}

//! The native baseline: the same use cases, libraries and SQL in one program without WASM and without a balancer. How far we
//! stay behind it is what the sandbox costs.
//!
//! One thread per core, each with its own API, workers and ports, as instances have them; one database and one client.

mod child;
mod ports;
mod serve;

use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use tokio::task::LocalSet;
use trawl_app::channels::{
    CALLBACK_QUEUE, MESSAGE_QUEUE, TYPE_1_QUEUE, TYPE_2_QUEUE, TYPE_3_QUEUE,
};
use trawl_app::scrape::{Domains, Html, Text, drain};
use trawl_core::address::AddressPolicy;
use trawl_outbound::{Class, Client};
use trawl_store::{Store, StoreError};

pub(crate) use child::Child;
use ports::{Bells, NativePorts, NativeSql, Shared};

/// The clock of the workers, as the host's.
const TICK: Duration = Duration::from_secs(1);

/// Arguments of the program.
#[derive(clap::Args)]
pub(crate) struct Native {
    /// Where the database is.
    #[arg(long)]
    state: PathBuf,
}

/// Serves until its input ends, which it does with whoever started it.
pub(crate) fn run(options: &Native) -> anyhow::Result<()> {
    let threads = std::thread::available_parallelism()?.get();
    let shared = shared(&options.state, threads)?;
    let listener = std::net::TcpListener::bind("127.0.0.1:0")?;
    listener.set_nonblocking(true)?;
    let address = listener.local_addr()?;
    for thread in 0..threads {
        let (shared, listener) = (Arc::clone(&shared), listener.try_clone()?);
        std::thread::spawn(move || {
            if let Err(error) = one_thread(&shared, listener, thread) {
                eprintln!("{error:#}");
                std::process::exit(1);
            }
        });
    }
    println!("listening on http://{address}");
    std::io::copy(&mut std::io::stdin(), &mut std::io::sink())?;
    Ok(())
}

/// What the threads have in common.
fn shared(state: &Path, threads: usize) -> anyhow::Result<Arc<Shared>> {
    let mut secret = [0_u8; 32];
    getrandom::fill(&mut secret).map_err(|error| anyhow::anyhow!("{error}"))?;
    let secret = secret.iter().map(|byte| format!("{byte:02x}")).collect();
    // The same check as the host's, opened for the same network.
    let policy = AddressPolicy {
        allow: vec![LOOPBACK.parse()?],
        ..AddressPolicy::default()
    };
    let check = move |_: &Class, address: std::net::SocketAddr| policy.permits(address);
    Ok(Arc::new(Shared {
        database: trawl_sqlite::Database::open(
            &state.join("native.db"),
            trawl_sqlite::Options::default(),
        )?,
        client: Client::new(trawl_outbound::Options::default(), check)?,
        bells: Bells::new(threads),
        secret,
    }))
}

/// Where origin and receiver are.
const LOOPBACK: &str = "127.0.0.0/8";

fn one_thread(
    shared: &Arc<Shared>,
    listener: std::net::TcpListener,
    thread: usize,
) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let ports = Rc::new(NativePorts::new(shared, thread));
    LocalSet::new().block_on(&runtime, async move {
        migrate(&NativeSql::new(shared)).await?;
        on_ring(&ports, TYPE_1_QUEUE, async |ports| {
            drain(ports, &Text).await.map(drop)
        });
        on_ring(&ports, TYPE_2_QUEUE, async |ports| {
            drain(ports, &Html).await.map(drop)
        });
        on_ring(&ports, TYPE_3_QUEUE, async |ports| {
            drain(ports, &Domains).await.map(drop)
        });
        on_ring(&ports, CALLBACK_QUEUE, async |ports| {
            trawl_app::callback::deliver(ports).await.map(drop)
        });
        if thread == 0 {
            on_ring(&ports, MESSAGE_QUEUE, async |ports| {
                trawl_app::dispatch::dispatch(ports).await.map(drop)
            });
        }
        serve::serve(ports, tokio::net::TcpListener::from_std(listener)?).await
    })
}

/// Each thread does so; one is at it, the others wait.
async fn migrate(sql: &NativeSql) -> anyhow::Result<()> {
    loop {
        match Store::new(sql).migrate().await {
            Err(StoreError::Migrating) => tokio::time::sleep(Duration::from_millis(5)).await,
            outcome => return outcome.context("the schema"),
        }
    }
}

/// A worker: works when it is rung, and once a second.
fn on_ring(
    ports: &Rc<NativePorts>,
    channel: &'static str,
    work: impl AsyncFn(&NativePorts) -> Result<(), StoreError> + 'static,
) {
    let ports = Rc::clone(ports);
    tokio::task::spawn_local(async move {
        loop {
            let _ = tokio::time::timeout(TICK, ports.rung(channel)).await;
            if let Err(error) = work(&ports).await {
                eprintln!("{channel}: {error}");
            }
        }
    });
}

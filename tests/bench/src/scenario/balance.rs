//! What the balancer costs: in front of a local replica against the same one without it, and in front of remote replicas
//! against nginx in front of the same ones.

use trawl_kit::host::{Host, HostOptions};

use super::Plan;
use crate::baseline::{nginx, nginx_proxy};
use crate::load::closed_loop;
use crate::process::Process;
use crate::requests::{authority, get};
use crate::table::Table;

/// Connections that are kept busy.
const CONNECTIONS: usize = 64;
/// Rounds of a second for each repeat.
const ROUNDS: usize = 3;
/// Replicas behind a front.
const REPLICAS: usize = 3;

/// A local replica behind the balancer.
const LOCAL: &str = "one local replica behind the balancer";
/// The same without it.
const DIRECT: &str = "the same without the balancer";
/// Remote replicas that are hosts.
const HOSTS: &str = "three hosts behind the balancer";
/// The same behind nginx.
const HOSTS_NGINX: &str = "the same three hosts behind nginx";
/// Remote replicas that answer a constant: what is measured is the front alone.
const CONSTANT: &str = "three constant servers behind the balancer";
/// The same behind nginx.
const CONSTANT_NGINX: &str = "the same three constant servers behind nginx";

/// One of two that are compared: its figure, its address, and what is asked for.
type Asked = (&'static str, String, &'static str);

/// Runs the comparisons.
pub(crate) async fn run(plan: &Plan, table: &mut Table) -> anyhow::Result<()> {
    local(plan, table).await?;
    remote_hosts(plan, table).await?;
    remote_constants(plan, table).await
}

/// What the balancer costs, and how it stands beside nginx.
pub(crate) fn ratios(table: &mut Table) {
    table.ratio("balancer / none, local replica", LOCAL, DIRECT, Some(0.9));
    table.ratio(
        "balancer / nginx, three hosts",
        HOSTS,
        HOSTS_NGINX,
        Some(0.7),
    );
    table.ratio(
        "balancer / nginx, three constant servers",
        CONSTANT,
        CONSTANT_NGINX,
        Some(0.7),
    );
}

async fn local(plan: &Plan, table: &mut Table) -> anyhow::Result<()> {
    let balanced = Host::start().await;
    let direct = Host::start_with(HostOptions::default().with(&["--without-balancer"])).await;
    let asked = [
        (LOCAL, authority(balanced.base()), "/test_endpoint"),
        (DIRECT, authority(direct.base()), "/test_endpoint"),
    ];
    compare(plan, table, &asked).await
}

async fn remote_hosts(plan: &Plan, table: &mut Table) -> anyhow::Result<()> {
    let mut hosts = Vec::new();
    for _ in 0..REPLICAS {
        hosts.push(Host::start().await);
    }
    let replicas: Vec<String> = hosts.iter().map(|host| authority(host.base())).collect();
    against_nginx(
        plan,
        table,
        &replicas,
        (HOSTS, HOSTS_NGINX, "/test_endpoint"),
    )
    .await
}

async fn remote_constants(plan: &Plan, table: &mut Table) -> anyhow::Result<()> {
    let mut servers = Vec::new();
    for _ in 0..REPLICAS {
        let Some(mut server) = nginx()? else {
            return Ok(());
        };
        server.listens().await?;
        servers.push(server);
    }
    let replicas: Vec<String> = servers.iter().map(Process::authority).collect();
    against_nginx(plan, table, &replicas, (CONSTANT, CONSTANT_NGINX, "/")).await
}

async fn against_nginx(
    plan: &Plan,
    table: &mut Table,
    replicas: &[String],
    (ours, theirs, path): (&'static str, &'static str, &'static str),
) -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let file = folder.path().join("balance.toml");
    std::fs::write(&file, balance_file(replicas))?;
    let front = HostOptions::default().with(&["--balance-file", &file.display().to_string()]);
    let front = Host::start_with(front).await;
    let mut asked = vec![(ours, authority(front.base()), path)];
    let nginx = match nginx_proxy(replicas)? {
        Some(mut nginx) => {
            nginx.listens().await?;
            asked.push((theirs, nginx.authority(), path));
            Some(nginx)
        }
        None => None,
    };
    let compared = compare(plan, table, &asked).await;
    drop(nginx);
    compared
}

fn balance_file(replicas: &[String]) -> String {
    let tables = replicas.iter().enumerate().map(|(number, address)| {
        format!("[[replica]]\nid = \"r{number}\"\nurl = \"http://{address}\"\n")
    });
    // What answers a constant knows no /readyz.
    format!("[check]\nenabled = false\n{}", tables.collect::<String>())
}

/// Each has its turn in each round, and the order changes, so that a slow moment of the machine is everybody's. The rounds are
/// many and short: what is looked for is a difference of a few per cent.
async fn compare(plan: &Plan, table: &mut Table, asked: &[Asked]) -> anyhow::Result<()> {
    let mut rates = vec![Vec::new(); asked.len()];
    // One round before what counts: instances, connections and caches are there then.
    for round in 0..=plan.repeats * ROUNDS {
        for turn in 0..asked.len() {
            let which = (turn + round) % asked.len();
            let (_, at, path) = &asked[which];
            let (host, path) = (at.clone(), *path);
            let load = closed_loop(at, CONNECTIONS, 1, 200, move |_| get(&host, path));
            let rate = load.await?.rate();
            if round > 0 {
                rates[which].push(rate);
            }
        }
    }
    for ((name, ..), rates) in asked.iter().zip(rates) {
        table.add(*name, "requests/s", rates);
    }
    Ok(())
}

//! `trawl up`: from the command line to the last request.

use std::env::VarError;
use std::io::{IsTerminal as _, Write as _};
use std::net::{IpAddr, SocketAddr};
use std::process::ExitCode;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use http::StatusCode;
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout};
use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::{Layer as _, layer::SubscriberExt as _, util::SubscriberInitExt as _};
use trawl_balance::{
    Attended, BalanceConfig, Balancer, Body, ClientAddress, ConnectionCounts, Handler,
    LocalBackend, LocalReplicas as _, Operator, Problem, ServerLimits, serve,
};
use trawl_core::limits::host as limits;
use trawl_core::limits::inbound::DRAIN_MS;
use trawl_sqlite::Database;

use crate::application::Application;
use crate::cli::{Up, WrongArgument};
use crate::doorbell::{Wire, subscriber, ticker};
use crate::figures::HostFigures;
use crate::memory::give_back_when_quiet;
use crate::open_files;
use crate::own_statements::{take_back, warn_of_newer_schema, warn_when_nobody_can_enter};
use crate::parts::precompile;
use crate::replicas::{Locals, balance};
use crate::state_use::Found;
use crate::stop::Stop;
use crate::{startup, vital};

/// Serves until a signal says stop, or a part of the host has broken; then the status says so.
///
/// # Errors
/// One line that says what to do; nothing was served then.
pub(crate) async fn run(options: Up) -> anyhow::Result<ExitCode> {
    log_to_stderr(&options);
    if options.tuning.precompile {
        precompile(&options)?;
        return Ok(ExitCode::SUCCESS);
    }
    let options = Arc::new(with_redis_of_variables(options, std::env::var));
    let stop = Stop::new();
    stop.at_signals()?;
    let balance = balance(&options)?;
    let listener = listen(options.listen).await?;
    let address = listener.local_addr()?;
    let Some(application) = load(&options, address, &stop).await? else {
        return Ok(ExitCode::SUCCESS);
    };
    warn_of_newer_schema(&application.database).await;
    let registration = application.variables.get("registration");
    warn_when_nobody_can_enter(&application.database, registration).await;
    if application.state.found == Found::Nobody {
        take_back(&application.database).await;
    }
    let locals = Locals {
        application: Arc::clone(&application),
        own: address,
    };
    let direct = straight_to(&options, &balance, &locals)?;
    let balancer = Balancer::new(balance, Arc::new(locals))?;
    let mut tasks = ring(&application);
    tasks.spawn(Arc::clone(&balancer).run(options.balance_file.clone(), stop.asked()));
    let watching = tokio::spawn(vital::watch(
        tasks,
        Arc::clone(&application.doorbell),
        application.database.clone(),
        stop.clone(),
    ));
    announce(&options, &application, address, &balancer);
    let front = Front {
        operator: operator(&options, &application, &balancer),
        balancer,
        direct,
    };
    // Held until the drain is over: with it the local replicas end, whose rights the last invocations need.
    let front = Arc::new(front);
    let asked_at = OnceLock::new();
    let asked = async {
        stop.asked().await;
        asked_at.get_or_init(Instant::now);
    };
    serve(listener, Arc::clone(&front), server_limits(&options), asked).await;
    stop.ask();
    drain(&application, *asked_at.get_or_init(Instant::now)).await;
    drop(front);
    let is_whole = watching.await.unwrap_or(false);
    close(&application.database).await;
    if let Some(stacks) = &application.stacks
        && let Err(error) = stacks.write()
    {
        tracing::error!("the stacks of the guests can't be written: {error}");
    }
    Ok(if is_whole {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

/// Under Spin a Redis server is named by the variable alone; whoever names one so means it here too.
fn with_redis_of_variables(
    mut options: Up,
    environment: impl Fn(&'static str) -> Result<String, VarError>,
) -> Up {
    let mut given = options.variables.iter().rev();
    // The last one counts, as with every variable.
    let given = given.find(|(name, _)| name == "redis_url");
    let given = given.map(|(_, url)| url.clone());
    let url = given.or_else(|| environment("SPIN_VARIABLE_REDIS_URL").ok());
    let url = url.filter(|url| !url.trim().is_empty());
    options.redis = options.redis.or(url);
    options
}

/// Says that it serves, and what and where.
fn announce(options: &Up, application: &Application, address: SocketAddr, balancer: &Balancer) {
    if options.quiet {
        for notice in startup::notices(application) {
            tracing::warn!("{notice}");
        }
        return;
    }
    let lines = startup::lines(application, address, &balancer.config(), &options.state_dir);
    let mut out = std::io::stdout().lock();
    // Whoever started us may have closed the other end; that is no reason not to serve.
    let _ = out.write_all(lines.as_bytes());
    let _ = out.flush();
}

/// Loads the application, which takes seconds when there is something to compile; `None` when the end was asked for meanwhile.
async fn load(
    options: &Arc<Up>,
    own: SocketAddr,
    stop: &Stop,
) -> anyhow::Result<Option<Arc<Application>>> {
    let loading = {
        let (options, stop) = (Arc::clone(options), stop.clone());
        tokio::task::spawn_blocking(move || Application::load(&options, own, stop))
    };
    tokio::select! {
        loaded = loading => Ok(Some(Arc::new(loaded??))),
        () = stop.asked() => Ok(None),
    }
}

fn log_to_stderr(options: &Up) {
    let filter = options.tuning.log.clone().unwrap_or_else(|| {
        let all = Targets::new().with_default(LevelFilter::WARN);
        if options.quiet {
            all
        } else {
            all.with_target("component", LevelFilter::INFO)
        }
    });
    let to_stderr = tracing_subscriber::fmt::layer()
        .with_ansi(std::io::stderr().is_terminal())
        .with_writer(std::io::stderr);
    // In a process that has a subscriber already, as a test may, that one stays.
    let _ = tracing_subscriber::registry()
        .with(to_stderr.with_filter(filter))
        .try_init();
}

async fn listen(address: SocketAddr) -> anyhow::Result<TcpListener> {
    TcpListener::bind(address).await.map_err(|error| {
        anyhow::anyhow!("can't listen on {address}: {error}; give another address with --listen")
    })
}

/// Starts what calls components without a request, and gives back its tasks. A host without local replicas has none to call.
fn ring(application: &Arc<Application>) -> JoinSet<()> {
    let mut tasks = JoinSet::new();
    if *application.doorbell.wire() == Wire::Redis {
        subscriber::start(
            &application.doorbell,
            &application.subscriptions,
            &application.stop,
            &mut tasks,
        );
    }
    let clock = ticker::run(
        Arc::clone(&application.doorbell),
        application.redis.clone(),
        application.stop.flag(),
    );
    tasks.spawn(clock);
    tasks.spawn(give_back_when_quiet(application.database.clone()));
    tasks
}

fn operator(options: &Up, application: &Application, balancer: &Arc<Balancer>) -> Operator {
    let figures = HostFigures {
        parts: application.parts.values().map(Arc::clone).collect(),
        lanes: application.doorbell.lanes(),
        client: application.client.clone(),
        database: application.database.clone(),
    };
    Operator::new(
        Arc::clone(balancer),
        options.networks.admin_token.clone(),
        Arc::new(figures),
    )
}

/// What the command line allows clients, and files enough for all their connections.
fn server_limits(options: &Up) -> ServerLimits {
    let front = &options.front;
    let wanted = front.connections_max + limits::OPEN_FILES_BESIDE_CONNECTIONS;
    let allowed = open_files::allow(wanted as u64);
    if allowed < wanted as u64 {
        tracing::warn!(
            "this process may open {allowed} files, which is too few for {} connections: raise the limit (ulimit -n {wanted}) or lower --connections-max",
            front.connections_max
        );
    }
    ServerLimits {
        connections_max: front.connections_max,
        connections_per_address_max: front.connections_per_address_max,
        header_read: Duration::from_millis(front.header_read_ms),
        body_read: Duration::from_millis(front.body_read_ms),
        idle: Duration::from_millis(front.connection_idle_ms),
        ..ServerLimits::default()
    }
}

/// For measurements: the local replica, to be called without a balancer.
fn straight_to(
    options: &Up,
    balance: &BalanceConfig,
    locals: &Locals,
) -> anyhow::Result<Option<Arc<dyn LocalBackend>>> {
    if !options.tuning.without_balancer {
        return Ok(None);
    }
    let [only] = balance.replicas.as_slice() else {
        let text = "--without-balancer is for one local replica";
        return Err(WrongArgument(text.to_owned()).into());
    };
    let replica = locals
        .open(only)
        .map_err(|error| anyhow::anyhow!("{error}"))?;
    Ok(Some(replica))
}

/// The front door: operators' pages, then the balancer.
struct Front {
    operator: Operator,
    balancer: Arc<Balancer>,
    /// Set only to measure what the balancer costs.
    direct: Option<Arc<dyn LocalBackend>>,
}

impl Handler for Front {
    async fn handle(&self, request: http::Request<Body>, peer: SocketAddr) -> http::Response<Body> {
        if Operator::is_asked(&request) {
            return self.operator.answer(request, peer).await;
        }
        let Some(direct) = &self.direct else {
            return self.balancer.handle(request, peer).await;
        };
        let mut request = request;
        request.extensions_mut().insert(ClientAddress(peer.ip()));
        let call = Arc::clone(direct).call(request);
        Attended::new(call, ()).await.unwrap_or_else(|_| {
            Problem::new(StatusCode::BAD_GATEWAY, "bad_gateway", "No answer.").response()
        })
    }

    fn is_trusted_proxy(&self, peer: IpAddr) -> bool {
        self.balancer.is_trusted_proxy(peer)
    }

    fn connection_counts(&self) -> Arc<ConnectionCounts> {
        self.operator.connection_counts()
    }
}

/// Closes the database, unless somebody else holds its lock: what waits for that was promised to nobody.
async fn close(database: &Database) {
    let time = Duration::from_millis(limits::CLOSE_MS_MAX);
    if timeout(time, database.clone().close()).await.is_err() {
        tracing::warn!(
            "the database was not closed in {} s: another process holds its lock, or a long statement runs; what still waited to be \
             written, and was promised to nobody, is given up",
            time.as_secs()
        );
    }
}

/// Waits for work after answers and for workers, which were told at `asked_at` to claim nothing new, and for messages that nobody else
/// has. Their time ran while requests were answered.
async fn drain(application: &Application, asked_at: Instant) {
    let deadline = asked_at + Duration::from_millis(DRAIN_MS);
    let lanes = application.doorbell.lanes();
    let busy = || {
        let answering = application
            .parts
            .values()
            .any(|part| part.figures.busy.load(Relaxed) > 0);
        answering || application.doorbell.is_listening() || lanes.iter().any(|lane| lane.is_busy())
    };
    while busy() && Instant::now() < deadline {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    if busy() {
        tracing::warn!(
            "work was still running after {} s; its leases expire by themselves",
            DRAIN_MS / 1000
        );
    }
    lanes.iter().for_each(|lane| lane.give_up());
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;

    use super::*;
    use crate::cli::{Cli, Command};

    #[test]
    fn a_redis_server_is_named_by_the_flag_or_else_by_the_variable() {
        const OF_VARIABLE: [&str; 2] = ["--variable", "redis_url=redis://variable"];
        let [flag, empty] = [["--redis", "redis://flag"], ["--variable", "redis_url="]];
        for (arguments, environment, expected) in [
            (&[][..], None, None),
            (&[flag, OF_VARIABLE][..], None, Some("redis://flag")),
            (
                &[OF_VARIABLE],
                Some("redis://env"),
                Some("redis://variable"),
            ),
            (&[], Some("redis://env"), Some("redis://env")),
            // As under Spin: what is set to nothing is not set, and hides what the environment says.
            (&[OF_VARIABLE, empty], Some("redis://env"), None),
        ] {
            let arguments = ["trawl", "up"].into_iter().chain(arguments.concat());
            let Command::Up(options) = Cli::try_parse_from(arguments).unwrap().command else {
                panic!("`up` was asked for");
            };
            let options = with_redis_of_variables(*options, |name| {
                assert_eq!(name, "SPIN_VARIABLE_REDIS_URL");
                environment.map(str::to_owned).ok_or(VarError::NotPresent)
            });
            assert_eq!(options.redis.as_deref(), expected);
        }
    }
}

//! `trawl up`: from the command line to the last request.

use std::io::{IsTerminal as _, Write as _};
use std::net::SocketAddr;
use std::process::ExitCode;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::time::Instant;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::{Layer as _, layer::SubscriberExt as _, util::SubscriberInitExt as _};
use trawl_balance::{Balancer, Body, Handler, Operator, ServerLimits, serve};
use trawl_core::limits::host as limits;

use crate::application::Application;
use crate::cli::Up;
use crate::doorbell::{Wire, subscriber, ticker};
use crate::figures::HostFigures;
use crate::parts::precompile;
use crate::replicas::{Locals, balance};
use crate::startup;
use crate::stop::Stop;

/// Serves until a signal says stop.
///
/// # Errors
/// One line that says what to do; nothing was served then.
pub(crate) async fn run(options: Up) -> anyhow::Result<ExitCode> {
    log_to_stderr(&options)?;
    if options.tuning.precompile {
        precompile(&options)?;
        return Ok(ExitCode::SUCCESS);
    }
    let options = Arc::new(options);
    let stop = Stop::new();
    stop.at_signals()?;
    let balance = balance(&options)?;
    let listener = listen(options.listen).await?;
    let address = listener.local_addr()?;
    let Some(application) = load(&options, address, &stop).await? else {
        return Ok(ExitCode::SUCCESS);
    };
    let front_door = Arc::new(OnceLock::new());
    let locals = Locals {
        application: Arc::clone(&application),
        front_door: Arc::clone(&front_door),
    };
    let balancer = Balancer::new(balance, Arc::new(locals))?;
    let _ = front_door.set(Arc::downgrade(&balancer));
    ring(&application);
    let watching =
        tokio::spawn(Arc::clone(&balancer).run(options.balance_file.clone(), stop.asked()));
    if !options.quiet {
        let mut out = std::io::stdout().lock();
        // Whoever started us may have closed the other end; that is no reason not to serve.
        let _ = out.write_all(
            startup::lines(
                &application,
                address,
                &balancer.config(),
                &options.state_dir,
            )
            .as_bytes(),
        );
        let _ = out.flush();
    }
    let front = Front {
        operator: operator(&options, &application, &balancer),
        balancer,
    };
    serve(
        listener,
        Arc::new(front),
        ServerLimits::default(),
        stop.asked(),
    )
    .await;
    stop.ask();
    drain(&application).await;
    let _ = watching.await;
    application.database.clone().close().await;
    Ok(ExitCode::SUCCESS)
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

fn log_to_stderr(options: &Up) -> anyhow::Result<()> {
    let filter = if options.quiet {
        "warn"
    } else {
        &options.tuning.log
    };
    let filter: Targets = filter
        .parse()
        .map_err(|error| anyhow::anyhow!("--log {filter}: {error}"))?;
    let to_stderr = tracing_subscriber::fmt::layer()
        .with_ansi(std::io::stderr().is_terminal())
        .with_writer(std::io::stderr);
    let _ = tracing_subscriber::registry()
        .with(to_stderr.with_filter(filter))
        .try_init();
    Ok(())
}

async fn listen(address: SocketAddr) -> anyhow::Result<TcpListener> {
    TcpListener::bind(address).await.map_err(|error| {
        anyhow::anyhow!("can't listen on {address}: {error}; give another address with --listen")
    })
}

/// Starts what calls components without a request. A host without local replicas has none to call.
fn ring(application: &Arc<Application>) {
    if *application.doorbell.wire() == Wire::Redis {
        subscriber::start(&application.doorbell, &application.subscriptions);
    }
    let clock = ticker::run(
        Arc::clone(&application.doorbell),
        application.redis.clone(),
        application.stop.flag(),
    );
    tokio::spawn(clock);
}

fn operator(options: &Up, application: &Application, balancer: &Arc<Balancer>) -> Operator {
    let figures = HostFigures {
        parts: application.parts.values().map(Arc::clone).collect(),
        lanes: application.doorbell.lanes(),
        client: application.client.clone(),
    };
    Operator::new(
        Arc::clone(balancer),
        options.networks.admin_token.clone(),
        Arc::new(figures),
    )
}

/// The front door: operators' pages, then the balancer.
struct Front {
    operator: Operator,
    balancer: Arc<Balancer>,
}

impl Handler for Front {
    async fn handle(&self, request: http::Request<Body>, peer: SocketAddr) -> http::Response<Body> {
        match self.operator.answer(&request, peer) {
            Some(answer) => answer,
            None => self.balancer.handle(request, peer).await,
        }
    }
}

/// Waits for work after answers and for workers, which were told to claim nothing new.
async fn drain(application: &Application) {
    let deadline = Instant::now() + Duration::from_millis(limits::DRAIN_MS);
    let busy = || {
        let answering = application
            .parts
            .values()
            .any(|part| part.figures.busy.load(Relaxed) > 0);
        answering
            || application
                .doorbell
                .lanes()
                .iter()
                .any(|lane| lane.running() > 0)
    };
    while busy() && Instant::now() < deadline {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    if busy() {
        tracing::warn!(
            "work was still running after {} s; its leases expire by themselves",
            limits::DRAIN_MS / 1000
        );
    }
}

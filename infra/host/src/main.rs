//! `trawl`: the local host. It runs the components of a `spin.toml` on one machine, with an embedded database, an embedded
//! doorbell, replicas and a load balancer.

mod accounts;
mod allowed_hosts;
mod application;
mod cli;
mod costly;
mod doorbell;
mod engine;
mod extract;
mod failure;
mod figures;
mod gather;
mod guest_output;
mod guest_stacks;
mod http_trigger;
mod links;
mod manifest;
mod memory;
mod moment;
mod networks;
mod open_files;
mod output;
mod own_statements;
mod part;
mod parts;
mod precedence;
mod private;
mod random;
mod replica;
mod replicas;
mod routes;
mod secret;
mod startup;
mod state;
mod state_use;
mod stop;
mod streamed;
mod up;
mod values;
mod variables;
mod vital;

use std::io::Write as _;
use std::process::ExitCode;

use crate::cli::{Cli, Command, WrongArgument};

/// What the host does for a component is many small things that another thread often frees, which this one is quicker with than the C
/// library's. SQLite keeps the C library's: it gains little, and every library's `malloc` would have to be replaced. [`memory`] gives
/// back what both keep.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    let cli = Cli::of_process();
    let done = match cli.command {
        Command::Up(options) => run(up::run(*options)),
        Command::Nodes(options) => {
            // Whatever it is allowed: what can't be opened all the same is counted in the report.
            open_files::allow(options.open_files());
            run(trawl_nodes::run(*options))
        }
        Command::Extract(options) => extract::run(&options),
        Command::Accounts(command) => run(accounts::run(command)),
    };
    match done {
        Ok(code) => code,
        Err(error) => {
            // One line, whatever it is made of. Whoever reads it may have gone, which the status must not depend on.
            let line = format!("{error:#}").replace('\n', " ");
            let _ = writeln!(std::io::stderr(), "trawl: {line}");
            if error.is::<WrongArgument>() {
                ExitCode::from(WrongArgument::STATUS)
            } else {
                ExitCode::FAILURE
            }
        }
    }
}

fn run(command: impl Future<Output = anyhow::Result<ExitCode>>) -> anyhow::Result<ExitCode> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()?;
    let done = runtime.block_on(command);
    // What still runs was told to stop and had its time.
    runtime.shutdown_background();
    done
}

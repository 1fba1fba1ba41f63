//! The HTTP API: every route of the contract over the ports.
//!
//! An entry reads a bounded body, calls [`Api::accounts`] or [`Api::messages`], sends the answer, and rings
//! [`Answer::ring`] when there is one: after the commit, after the answer, never waited for. The roles share the route
//! table; each links only the handlers it serves.

mod accounts;
mod answer;
mod body;
mod caller;
mod deliveries;
mod endpoints;
mod login;
mod messages;
mod negotiate;
mod password;
pub mod producers;
mod receive;
mod result;
pub mod route;
mod service;
mod settings;

use std::cell::RefCell;
use std::rc::Rc;

use bytes::Bytes;
use http::{Method, Request};
use trawl_core::limits::inbound;
use trawl_core::problem::{Code, Problem};

use crate::ports::{Clock as _, Ports};
pub use answer::{Answer, Content};
use answer::{no_content, problem};
use password::HashGate;
use route::{Find, Route, Section};
use settings::Settings;

/// Bytes of a request body that an entry reads before it answers [`body_too_large`].
#[expect(
    clippy::cast_possible_truncation,
    reason = "1 MiB fits a usize of 32 bits"
)]
pub const BODY_BYTES_MAX: usize = inbound::BODY_BYTES_MAX as usize;

/// The API of one instance: what it remembers between requests. A component is one thread, so nothing is locked.
#[derive(Default)]
pub struct Api {
    settings: RefCell<Option<Rc<Settings>>>,
    hashes: HashGate,
}

/// One request with everything its handler may need.
pub(crate) struct Exchange<'a, P: Ports> {
    pub(crate) ports: &'a P,
    pub(crate) settings: Rc<Settings>,
    pub(crate) hashes: &'a HashGate,
    pub(crate) request: &'a Request<Bytes>,
}

/// What a handler returns: a problem is an answer like any other, made in one place.
pub(crate) type Handled = Result<Answer, Problem>;

impl Api {
    /// Answers the routes of the role auth: accounts, tokens, keys and secrets.
    pub async fn accounts<P: Ports>(&self, ports: &P, request: Request<Bytes>) -> Answer {
        self.serve(
            ports,
            request,
            async |exchange, route, section| match section {
                Section::Accounts => accounts::handle(exchange, route).await,
                Section::Messages => Err(nothing_here()),
            },
        )
        .await
    }

    /// Answers the routes of the role ingest: everything else.
    pub async fn messages<P: Ports>(&self, ports: &P, request: Request<Bytes>) -> Answer {
        self.serve(
            ports,
            request,
            async |exchange, route, section| match section {
                Section::Accounts => Err(nothing_here()),
                Section::Messages => messages::handle(exchange, route).await,
            },
        )
        .await
    }

    /// Answers all routes: for a program that plays both roles.
    pub async fn everything<P: Ports>(&self, ports: &P, request: Request<Bytes>) -> Answer {
        self.serve(
            ports,
            request,
            async |exchange, route, section| match section {
                Section::Accounts => accounts::handle(exchange, route).await,
                Section::Messages => messages::handle(exchange, route).await,
            },
        )
        .await
    }

    async fn serve<'a, P: Ports>(
        &'a self,
        ports: &'a P,
        request: Request<Bytes>,
        handler: impl AsyncFnOnce(&Exchange<'_, P>, Route<'_>, Section) -> Handled,
    ) -> Answer {
        let route = match route::find(request.method(), request.uri().path()) {
            Find::Route(route) => route,
            Find::Options { allow } => return no_content().with("allow", allow),
            Find::WrongMethod { allow } => {
                let detail = format!(
                    "{} is not known here; use one of: {allow}.",
                    request.method()
                );
                return problem(&Problem::new(Code::MethodNotAllowed, detail)).with("allow", allow);
            }
            Find::Nothing => return problem(&nothing_here()),
        };
        let settings = self.settings(ports).await;
        let exchange = Exchange {
            ports,
            settings,
            hashes: &self.hashes,
            request: &request,
        };
        let answer = handler(&exchange, route, route.section())
            .await
            .unwrap_or_else(|refused| problem(&refused));
        if request.method() == Method::HEAD {
            answer.without_body()
        } else {
            answer
        }
    }

    async fn settings<P: Ports>(&self, ports: &P) -> Rc<Settings> {
        let now_ms = ports.clock().monotonic_ms();
        let kept = self.settings.borrow().clone();
        if let Some(settings) = kept
            && settings.is_fresh(now_ms)
        {
            return settings;
        }
        let settings = Rc::new(Settings::read(ports, now_ms).await);
        self.settings.borrow_mut().replace(Rc::clone(&settings));
        settings
    }
}

/// The answer when a body is longer than [`BODY_BYTES_MAX`]: reading stops there.
#[must_use]
pub fn body_too_large() -> Answer {
    problem(&Problem::new(
        Code::BodyTooLarge,
        format!("A request body has at most {BODY_BYTES_MAX} bytes."),
    ))
}

/// The answer when a body broke off.
#[must_use]
pub fn body_broken() -> Answer {
    problem(&Problem::new(
        Code::InvalidRequest,
        "The body broke off before its end; send it again.",
    ))
}

fn nothing_here() -> Problem {
    Problem::new(
        Code::NotFound,
        "No such route; GET / and GET /openapi.json list them.",
    )
}

/// Not there, or another tenant's: the two answer alike.
fn no_message() -> Problem {
    Problem::new(Code::NotFound, "This account has no such message.")
}

#[cfg(test)]
mod tests;

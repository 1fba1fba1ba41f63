//! What takes a password: `POST /token`, the OAuth2 password grant, and its change. Throttled before anything is hashed.

use std::borrow::Cow;

use http::StatusCode;
use trawl_core::email::{ADDRESS_BYTES_MAX, Email};
use trawl_core::ids::AccountId;
use trawl_core::limits::account::{PASSWORD_BYTES_MAX, TOKEN_LIFE_S};
use trawl_core::limits::api::HASHES_RETRY_S;
use trawl_core::password_policy;
use trawl_core::problem::{Code, Problem};
use trawl_core::throttle;
use trawl_store::StoreError;
use trawl_wire::account::{Said, TokenAnswer};

use super::answer::{json, unavailable};
use super::body::{bad_field, media_type};
use super::{Exchange, Handled};
use crate::ports::{Clock as _, Ports};

const FORM: &str = "application/x-www-form-urlencoded";

/// What the form held.
struct Credentials<'a> {
    name: Cow<'a, str>,
    password: Cow<'a, str>,
}

/// Whom a name and a password opened.
struct Known {
    account: AccountId,
    /// As it is stored.
    hash: String,
    /// It has the parameters of an earlier day.
    is_outdated: bool,
}

pub(super) async fn token<P: Ports>(exchange: &Exchange<'_, P>) -> Handled {
    let keys = exchange.keys()?;
    let credentials = read_form(exchange)?;
    let name = normalised(&credentials.name);
    let known = know(exchange, &name, &credentials.password).await?;
    if known.is_outdated {
        rehash(exchange, &known, &credentials.password).await;
    }
    let now_s = exchange.ports.clock().now_ms().div_euclid(1000);
    let token = keys.signing.issue(known.account.0, now_s);
    let answer = TokenAnswer {
        access_token: &token,
        token_type: "bearer",
        expires_in: i64::from(TOKEN_LIFE_S),
    };
    Ok(json(StatusCode::OK, &answer).private())
}

/// `POST /users/password`: whoever knows the password gives the account another one. Throttled as a log-in, since it tells as much.
pub(super) async fn change_password<P: Ports>(exchange: &Exchange<'_, P>) -> Handled {
    let object = exchange.object()?;
    let text = |name| object.required_text(&[name]).map_err(bad_field);
    let (email, password, new) = (text("email")?, text("password")?, text("new_password")?);
    let name = normalised(email);
    no_longer_than_any(email, password)?;
    password_policy::check(new, &name).map_err(|error| {
        Problem::new(Code::WeakPassword, format!("{error}.")).at("new_password")
    })?;
    let known = know(exchange, &name, password).await?;
    let (clock, random) = (exchange.ports.clock(), exchange.ports.random());
    let hash = exchange.hashes.hash(clock, random, new).await?;
    let store = exchange.store();
    let changed = store
        .set_password_hash(known.account, &known.hash, &hash)
        .await;
    if !changed.map_err(unavailable)? {
        return Err(Problem::new(
            Code::Busy,
            "The password was stored anew at the same moment; try again.",
        )
        .retry_after(HASHES_RETRY_S));
    }
    let said = Said {
        message: "Password changed successfully",
    };
    Ok(json(StatusCode::OK, &said))
}

/// Whom these open. Throttled before anything is hashed.
async fn know<P: Ports>(
    exchange: &Exchange<'_, P>,
    name: &str,
    password: &str,
) -> Result<Known, Problem> {
    let name_key = throttle::name_key(name);
    let address_key = client_address(exchange).and_then(throttle::address_key);
    hold_back(exchange, &name_key, address_key.as_deref()).await?;

    let store = exchange.store();
    let tried = verify(exchange, name, password).await;
    if tried.is_err() {
        // No password was looked at.
        let _ = store.login_taken_back(&name_key).await;
    }
    if !matches!(tried, Ok(None))
        && let Some(key) = &address_key
    {
        // Left counted where it can't be taken back, it is one of ten for a minute.
        let _ = store.login_taken_back(key).await;
    }
    let known = tried?.ok_or_else(|| {
        Problem::new(
            Code::InvalidCredentials,
            "Check the e-mail and the password; POST /users/ makes an account.",
        )
    })?;
    store
        .login_succeeded(&name_key)
        .await
        .map_err(unavailable)?;
    Ok(known)
}

/// Whom these open; the same work whether or not there is such an account.
async fn verify<P: Ports>(
    exchange: &Exchange<'_, P>,
    name: &str,
    password: &str,
) -> Result<Option<Known>, Problem> {
    let account = exchange.store().account_by_email_key(name).await;
    let account = account.map_err(unavailable)?;
    let stored = account
        .as_ref()
        .map(|account| account.password_hash.as_str());
    let verified = exchange
        .hashes
        .verify(exchange.ports.clock(), password, stored)
        .await?;
    Ok(account.zip(verified).map(|(account, is_outdated)| Known {
        account: account.id,
        hash: account.password_hash,
        is_outdated,
    }))
}

/// Brings an old hash to today's parameters. The login stands whether or not it works; the next one tries again.
async fn rehash<P: Ports>(exchange: &Exchange<'_, P>, known: &Known, password: &str) {
    let (clock, random) = (exchange.ports.clock(), exchange.ports.random());
    if let Ok(hash) = exchange.hashes.hash(clock, random, password).await
        && let Err(error) = exchange
            .store()
            .set_password_hash(known.account, &known.hash, &hash)
            .await
    {
        eprintln!("a password hash could not be brought up to date: {error}");
    }
}

/// Keyed on the name as sent, whether or not it exists, and on the network: neither tells who has an account. A try that may go on
/// counts as a failure before its password is looked at: of many at once, all would pass a count of what has failed so far. Whoever has
/// to wait writes nothing.
async fn hold_back<P: Ports>(
    exchange: &Exchange<'_, P>,
    name_key: &str,
    address_key: Option<&str>,
) -> Result<(), Problem> {
    let store = exchange.store();
    let waiting = |wait_s: Result<Option<u64>, StoreError>| {
        unless_waiting("wrong passwords", wait_s.map_err(unavailable)?)
    };
    if let Some(key) = address_key {
        waiting(store.login_gate(key).await)?;
    }
    waiting(store.login_tried(name_key).await)?;
    if let Some(key) = address_key {
        let counted = waiting(store.login_tried(key).await);
        if counted.is_err() {
            let _ = store.login_taken_back(name_key).await;
        }
        counted?;
    }
    Ok(())
}

/// Refuses whoever still waits for the throttle, with what there was too much of.
pub(super) fn unless_waiting(what: &str, wait_s: Option<u64>) -> Result<(), Problem> {
    wait_s.map_or(Ok(()), |seconds| {
        let detail = format!("Too many {what}; try again in {seconds} s.");
        Err(Problem::new(Code::TooManyAttempts, detail).retry_after(seconds))
    })
}

fn read_form<'a, P: Ports>(exchange: &'a Exchange<'_, P>) -> Result<Credentials<'a>, Problem> {
    let media_type = media_type(exchange.request.headers())?;
    if media_type != FORM {
        return Err(Problem::new(
            Code::UnsupportedMediaType,
            format!("Send a form: `Content-Type: {FORM}` with username and password."),
        ));
    }
    let (mut name, mut password, mut grant) = (None, None, None);
    for (field, value) in url::form_urlencoded::parse(exchange.request.body()) {
        let (slot, field) = match field.as_ref() {
            "username" => (&mut name, "username"),
            "password" => (&mut password, "password"),
            "grant_type" => (&mut grant, "grant_type"),
            _ => continue,
        };
        if slot.replace(value).is_some() {
            return Err(
                Problem::new(Code::InvalidField, format!("`{field}` is given twice.")).at(field),
            );
        }
    }
    if grant.is_some_and(|grant| grant != "password" && !grant.is_empty()) {
        return Err(Problem::new(
            Code::UnsupportedGrantType,
            "Send grant_type=password, or leave it out.",
        )
        .at("grant_type"));
    }
    let name = name.ok_or_else(|| {
        Problem::new(Code::InvalidField, "`username` is required.").at("username")
    })?;
    let password = password.ok_or_else(|| {
        Problem::new(Code::InvalidField, "`password` is required.").at("password")
    })?;
    no_longer_than_any(&name, &password)?;
    Ok(Credentials { name, password })
}

/// No account has a longer name.
fn no_longer_than_any(name: &str, password: &str) -> Result<(), Problem> {
    if name.len() > ADDRESS_BYTES_MAX || password.len() > PASSWORD_BYTES_MAX {
        return Err(Problem::new(
            Code::InvalidField,
            "The username or the password is longer than any can be.",
        ));
    }
    Ok(())
}

/// The key of an account, or, for what is no address, the text itself: it will not be found, after the same work.
fn normalised(name: &str) -> String {
    Email::parse(name).map_or_else(|_| name.trim().to_ascii_lowercase(), |email| email.key)
}

/// The address that the host saw. A host appends its header after the client's own, so only the last value counts.
pub(super) fn client_address<P: Ports>(exchange: &Exchange<'_, P>) -> Option<std::net::IpAddr> {
    let value = exchange
        .request
        .headers()
        .get_all("spin-client-addr")
        .iter()
        .next_back()?
        .to_str()
        .ok()?;
    value
        .parse::<std::net::SocketAddr>()
        .map(|address| address.ip())
        .or_else(|_| value.parse())
        .ok()
}

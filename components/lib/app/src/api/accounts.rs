//! Registration, API keys and webhook secrets.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::StatusCode;
use trawl_core::email::Email;
use trawl_core::limits::account::{KEY_NAME_CHARS_MAX, KEYS_MAX};
use trawl_core::password_policy;
use trawl_core::problem::{Code, Problem};
use trawl_core::throttle;
use trawl_core::webhook_signature::{SECRET_BYTES, show_secret};
use trawl_store::{ApiKey, Created, Registration, Secrets};
use trawl_wire::Timestamp;
use trawl_wire::account::{KeyView, NewKey, Said, SecretAnswer};
use trawl_wire::message::List;
use trawl_wire::object::FieldError;

use super::answer::{json, no_content, unavailable};
use super::body::bad_field;
use super::caller::{KEY_PREFIX, digest};
use super::route::{Route, number};
use super::{Answer, Exchange, Handled, login, nothing_here};
use crate::ports::{Ports, Random as _};

pub(super) async fn handle<P: Ports>(exchange: &Exchange<'_, P>, route: Route<'_>) -> Handled {
    match route {
        Route::Users => register(exchange).await,
        Route::Password => login::change_password(exchange).await,
        Route::Token => login::token(exchange).await,
        Route::Keys { is_list: true } => list_keys(exchange).await,
        Route::Keys { is_list: false } => make_key(exchange).await,
        Route::Key { id } => delete_key(exchange, id).await,
        Route::WebhookSecret => webhook_secret(exchange).await,
        Route::WebhookSecretRotate => rotate_webhook_secret(exchange).await,
        _ => Err(nothing_here()),
    }
}

async fn register<P: Ports>(exchange: &Exchange<'_, P>) -> Handled {
    // An account that nobody could log in to.
    exchange.keys()?;
    let object = exchange.object()?;
    let email = object.required_text(&["email"]).map_err(bad_field)?;
    let password = object.required_text(&["password"]).map_err(bad_field)?;
    let email = Email::parse(email)
        .map_err(|error| Problem::new(Code::InvalidEmail, format!("{error}.")).at("email"))?;
    password_policy::check(password, &email.key)
        .map_err(|error| Problem::new(Code::WeakPassword, format!("{error}.")).at("password"))?;
    // Told before the costly hash, and before the address is looked up: where nobody may register, nobody learns who has an account.
    // The insert decides again, so two at once can't both pass.
    let is_closed = match exchange.settings.registration {
        Registration::Open => false,
        Registration::First => exchange.store().has_accounts().await.map_err(unavailable)?,
        Registration::Closed => true,
    };
    if is_closed {
        return Err(closed());
    }
    // Before the address is looked up, so that what is counted tells nobody whether it has an account.
    hold_back(exchange).await?;
    if exchange
        .store()
        .account_by_email_key(&email.key)
        .await
        .map_err(unavailable)?
        .is_some()
    {
        return Err(taken());
    }
    let hash = exchange
        .hashes
        .hash(exchange.ports.clock(), exchange.ports.random(), password)
        .await?;
    let created = exchange
        .store()
        .create_account(
            &email.address,
            &email.key,
            &hash,
            exchange.settings.registration,
        )
        .await;
    match created.map_err(unavailable)? {
        Created::Account(_) => Ok(json(
            StatusCode::OK,
            &Said {
                message: "User created successfully",
            },
        )),
        Created::Taken if exchange.settings.registration == Registration::Open => Err(taken()),
        Created::Taken | Created::Closed => Err(closed()),
    }
}

/// A network that has registered often enough waits. A host that does not say who asks, or a request of this machine, is not
/// counted.
async fn hold_back<P: Ports>(exchange: &Exchange<'_, P>) -> Result<(), Problem> {
    let Some(key) = login::client_address(exchange).and_then(throttle::registration_key) else {
        return Ok(());
    };
    let wait_s = exchange.store().registration_gate(&key).await;
    login::unless_waiting(
        "registrations from your network",
        wait_s.map_err(unavailable)?,
    )
}

fn taken() -> Problem {
    Problem::new(
        Code::EmailTaken,
        "This e-mail has an account; log in with POST /token.",
    )
    .at("email")
}

fn closed() -> Problem {
    Problem::new(
        Code::RegistrationClosed,
        "The operator does not take new accounts.",
    )
}

async fn make_key<P: Ports>(exchange: &Exchange<'_, P>) -> Handled {
    let account = exchange.caller().await?;
    let object = exchange.object()?;
    let name = object.required_text(&["name"]).map_err(bad_field)?.trim();
    if name.is_empty() || name.chars().count() > KEY_NAME_CHARS_MAX {
        return Err(bad_field(FieldError::new(
            "name",
            format!("must have 1 to {KEY_NAME_CHARS_MAX} characters"),
        )));
    }
    let store = exchange.store();
    let mut bytes = [0_u8; 32];
    exchange.ports.random().fill(&mut bytes);
    let key = format!("{KEY_PREFIX}{}", URL_SAFE_NO_PAD.encode(bytes));
    let id = store
        .create_key(account, name, &digest(&key))
        .await
        .map_err(unavailable)?
        .ok_or_else(too_many_keys)?;
    let answer = json(
        StatusCode::CREATED,
        &NewKey {
            id,
            name,
            key: &key,
        },
    );
    Ok(answer.private().with("location", &format!("/keys/{id}")))
}

fn too_many_keys() -> Problem {
    Problem::new(
        Code::KeyLimit,
        format!("An account has at most {KEYS_MAX} keys; delete one first."),
    )
}

async fn list_keys<P: Ports>(exchange: &Exchange<'_, P>) -> Handled {
    let account = exchange.caller().await?;
    let keys = exchange.store().keys(account).await.map_err(unavailable)?;
    Ok(json(
        StatusCode::OK,
        &List {
            data: keys.iter().map(key_view).collect(),
        },
    )
    .private())
}

fn key_view(key: &ApiKey) -> KeyView<'_> {
    KeyView {
        id: key.id,
        name: &key.name,
        date_added: Timestamp(key.created_ms),
        last_used: key.last_used.map(Timestamp),
    }
}

async fn delete_key<P: Ports>(exchange: &Exchange<'_, P>, id: &str) -> Handled {
    let account = exchange.caller().await?;
    let missing = || Problem::new(Code::NotFound, "This account has no such key.");
    let id = number(id).ok_or_else(missing)?;
    if exchange
        .store()
        .delete_key(account, id)
        .await
        .map_err(unavailable)?
    {
        Ok(no_content())
    } else {
        Err(missing())
    }
}

async fn webhook_secret<P: Ports>(exchange: &Exchange<'_, P>) -> Handled {
    let account = exchange.caller().await?;
    let secrets = exchange
        .store()
        .webhook_secrets(account, &fresh_secret(exchange))
        .await
        .map_err(unavailable)?;
    Ok(shown(&secrets))
}

async fn rotate_webhook_secret<P: Ports>(exchange: &Exchange<'_, P>) -> Handled {
    let account = exchange.caller().await?;
    let secrets = exchange
        .store()
        .rotate_webhook_secret(account, &fresh_secret(exchange))
        .await
        .map_err(unavailable)?;
    Ok(shown(&secrets))
}

fn shown(secrets: &Secrets) -> Answer {
    let secret = &show_secret(&secrets.current);
    json(StatusCode::OK, &SecretAnswer { secret }).private()
}

fn fresh_secret<P: Ports>(exchange: &Exchange<'_, P>) -> [u8; SECRET_BYTES] {
    let mut secret = [0_u8; SECRET_BYTES];
    exchange.ports.random().fill(&mut secret);
    secret
}

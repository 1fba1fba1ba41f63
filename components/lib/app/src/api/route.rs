//! Which path means what. The table is also what the OpenAPI document is held against.

use std::str::FromStr;

use http::Method;

/// Which role serves a route.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Section {
    /// auth.
    Accounts,
    /// ingest.
    Messages,
}

/// A route with what its path carries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names are those of the paths in `TABLE`")]
pub enum Route<'a> {
    Users,
    Password,
    Token,
    Keys { is_list: bool },
    Key { id: &'a str },
    WebhookSecret,
    WebhookSecretRotate,
    Home,
    OpenApi,
    Livez,
    Readyz,
    TestEndpoint,
    ReceiveData,
    Messages,
    Message { id: &'a str, is_cancel: bool },
    MessageResult { id: &'a str },
    Retry { id: &'a str },
    Deliveries { id: &'a str },
    Replay { id: &'a str },
    Events { id: &'a str },
    ReplayRange,
    Endpoints,
    EndpointEnable,
    Queues,
}

impl Route<'_> {
    /// Which role serves it.
    #[must_use]
    pub const fn section(self) -> Section {
        match self {
            Self::Users
            | Self::Password
            | Self::Token
            | Self::Keys { .. }
            | Self::Key { .. }
            | Self::WebhookSecret
            | Self::WebhookSecretRotate => Section::Accounts,
            _ => Section::Messages,
        }
    }
}

/// A number from a path: plain digits, as our links write it; `None` for anything else.
pub(super) fn number<N: FromStr>(text: &str) -> Option<N> {
    let is_plain = text.bytes().all(|byte| byte.is_ascii_digit());
    text.parse().ok().filter(|_| is_plain)
}

/// Every path with the methods it knows, as OpenAPI writes them.
pub const TABLE: &[(&str, &str)] = &[
    ("/", "GET, HEAD, OPTIONS"),
    ("/users", "POST, OPTIONS"),
    ("/users/password", "POST, OPTIONS"),
    ("/token", "POST, OPTIONS"),
    ("/keys", "GET, HEAD, POST, OPTIONS"),
    ("/keys/{id}", "DELETE, OPTIONS"),
    ("/webhook-secret", "GET, HEAD, OPTIONS"),
    ("/webhook-secret/rotate", "POST, OPTIONS"),
    ("/receive_data", "POST, OPTIONS"),
    ("/test_endpoint", "GET, HEAD, OPTIONS"),
    ("/messages", "GET, HEAD, OPTIONS"),
    ("/messages/{id}", "GET, HEAD, DELETE, OPTIONS"),
    ("/messages/{id}/result", "GET, HEAD, OPTIONS"),
    ("/messages/{id}/retry", "POST, OPTIONS"),
    ("/messages/{id}/deliveries", "GET, HEAD, OPTIONS"),
    ("/messages/{id}/deliveries/replay", "POST, OPTIONS"),
    ("/messages/{id}/events", "GET, HEAD, OPTIONS"),
    ("/deliveries/replay", "POST, OPTIONS"),
    ("/endpoints", "GET, HEAD, OPTIONS"),
    ("/endpoints/enable", "POST, OPTIONS"),
    ("/queues", "GET, HEAD, OPTIONS"),
    ("/livez", "GET, HEAD, OPTIONS"),
    ("/readyz", "GET, HEAD, OPTIONS"),
    ("/openapi.json", "GET, HEAD, OPTIONS"),
];

/// What a method and a path lead to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Find<'a> {
    /// This route.
    Route(Route<'a>),
    /// The path exists; the client asks what it knows.
    Options {
        /// The methods it knows.
        allow: &'static str,
    },
    /// The path exists and does not know the method.
    WrongMethod {
        /// The methods it knows.
        allow: &'static str,
    },
    /// There is no such path.
    Nothing,
}

/// Finds the route of a request. One slash at the end is as good as none.
#[must_use]
pub fn find<'a>(method: &Method, path: &'a str) -> Find<'a> {
    let path = path.strip_suffix('/').unwrap_or(path);
    let mut pieces = path.split('/').skip(1);
    let segments = [pieces.next(), pieces.next(), pieces.next(), pieces.next()];
    if pieces.next().is_some() {
        return Find::Nothing;
    }
    let Some((template, route)) = of_segments(segments, method) else {
        return Find::Nothing;
    };
    let Some((_, allow)) = TABLE.iter().find(|(known, _)| *known == template) else {
        return Find::Nothing;
    };
    if *method == Method::OPTIONS {
        Find::Options { allow }
    } else if allow.split(", ").any(|known| known == method.as_str()) {
        Find::Route(route)
    } else {
        Find::WrongMethod { allow }
    }
}

fn of_segments<'a>(
    segments: [Option<&'a str>; 4],
    method: &Method,
) -> Option<(&'static str, Route<'a>)> {
    let [first, second, third, fourth] = segments;
    Some(match (first.unwrap_or_default(), second, third, fourth) {
        ("", None, None, None) => ("/", Route::Home),
        ("users", None, None, None) => ("/users", Route::Users),
        ("users", Some("password"), None, None) => ("/users/password", Route::Password),
        ("token", None, None, None) => ("/token", Route::Token),
        ("keys", None, None, None) => (
            "/keys",
            Route::Keys {
                is_list: *method != Method::POST,
            },
        ),
        ("keys", Some(id), None, None) => ("/keys/{id}", Route::Key { id }),
        ("webhook-secret", None, None, None) => ("/webhook-secret", Route::WebhookSecret),
        ("webhook-secret", Some("rotate"), None, None) => {
            ("/webhook-secret/rotate", Route::WebhookSecretRotate)
        }
        ("receive_data", None, None, None) => ("/receive_data", Route::ReceiveData),
        ("test_endpoint", None, None, None) => ("/test_endpoint", Route::TestEndpoint),
        ("messages", None, None, None) => ("/messages", Route::Messages),
        ("messages", Some(id), None, None) => (
            "/messages/{id}",
            Route::Message {
                id,
                is_cancel: *method == Method::DELETE,
            },
        ),
        ("messages", Some(id), Some("result"), None) => {
            ("/messages/{id}/result", Route::MessageResult { id })
        }
        ("messages", Some(id), Some("retry"), None) => {
            ("/messages/{id}/retry", Route::Retry { id })
        }
        ("messages", Some(id), Some("deliveries"), None) => {
            ("/messages/{id}/deliveries", Route::Deliveries { id })
        }
        ("messages", Some(id), Some("deliveries"), Some("replay")) => {
            ("/messages/{id}/deliveries/replay", Route::Replay { id })
        }
        ("messages", Some(id), Some("events"), None) => {
            ("/messages/{id}/events", Route::Events { id })
        }
        ("deliveries", Some("replay"), None, None) => ("/deliveries/replay", Route::ReplayRange),
        ("endpoints", None, None, None) => ("/endpoints", Route::Endpoints),
        ("endpoints", Some("enable"), None, None) => ("/endpoints/enable", Route::EndpointEnable),
        ("queues", None, None, None) => ("/queues", Route::Queues),
        ("livez", None, None, None) => ("/livez", Route::Livez),
        ("readyz", None, None, None) => ("/readyz", Route::Readyz),
        ("openapi.json", None, None, None) => ("/openapi.json", Route::OpenApi),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_in_a_path_is_plain_digits() {
        assert_eq!(number::<i64>("12"), Some(12));
        for text in ["", "+1", "-1", " 1", "1x", "9223372036854775808"] {
            assert_eq!(number::<i64>(text), None, "{text:?}");
        }
    }

    #[test]
    fn every_path_of_the_table_is_found_by_each_of_its_methods() {
        for (template, allow) in TABLE {
            let path = template.replace("{id}", "7");
            for method in allow.split(", ") {
                let method = method.parse::<Method>().unwrap();
                let found = find(&method, &path);
                assert!(
                    matches!(found, Find::Route(_) | Find::Options { .. }),
                    "{method} {path}: {found:?}"
                );
                assert!(
                    !matches!(find(&method, &format!("{path}/")), Find::Nothing),
                    "{method} {path}/"
                );
            }
            assert_eq!(find(&Method::PATCH, &path), Find::WrongMethod { allow });
        }
    }

    #[test]
    fn what_is_not_there() {
        for path in [
            "/nothing",
            "/messages/7/other",
            "/messages/7/deliveries/replay/x",
            "/messages/7/deliveries/replay/x/y",
            "/Users",
            "/users//",
        ] {
            assert_eq!(find(&Method::GET, path), Find::Nothing, "{path}");
        }
    }
}

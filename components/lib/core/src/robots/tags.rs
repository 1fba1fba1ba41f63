//! `X-Robots-Tag` fields: reported with a result, not enforced, since trawl is no index.

use crate::limits::robots::DIRECTIVES_MAX;

/// Directives that carry a value after a colon, so that the colon does not name an agent.
const WITH_VALUE: &[&str] = &[
    "unavailable_after",
    "max-snippet",
    "max-image-preview",
    "max-video-preview",
];

/// The directives for us out of the `X-Robots-Tag` fields of an answer, in lower case, each once. An agent's name
/// before a colon holds for the directives that follow in the same field.
#[must_use]
pub fn x_robots_tag<'a>(
    fields: impl IntoIterator<Item = &'a str>,
    product_token: &str,
) -> Vec<String> {
    let mut found = Vec::new();
    for field in fields {
        let mut for_us = true;
        for part in parts(field) {
            let mut directive = part;
            if let Some((agent, rest)) = part.split_once(':')
                && !WITH_VALUE
                    .iter()
                    .any(|name| agent.trim().eq_ignore_ascii_case(name))
            {
                for_us = agent.trim().eq_ignore_ascii_case(product_token) || agent.trim() == "*";
                directive = rest;
            }
            if for_us {
                keep(&mut found, directive);
            }
        }
    }
    found
}

/// Splits at commas, but keeps the one inside the date of `unavailable_after` ("Sun, 06 Nov 1994 …").
fn parts(field: &str) -> impl Iterator<Item = &str> {
    let mut rest = field;
    std::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        let is_date = rest
            .trim_start()
            .get(..17)
            .is_some_and(|start| start.eq_ignore_ascii_case("unavailable_after"));
        let weekday_ends = if is_date {
            rest.find(", ").filter(|at| is_weekday(&rest[..*at]))
        } else {
            None
        };
        let from = weekday_ends.map_or(0, |at| at + 1);
        let end = rest[from..].find(',').map(|at| from + at);
        let part = &rest[..end.unwrap_or(rest.len())];
        rest = end.map_or("", |at| &rest[at + 1..]);
        Some(part.trim())
    })
}

fn is_weekday(before_comma: &str) -> bool {
    let word = before_comma.rsplit([':', ' ']).next().unwrap_or_default();
    word.len() >= 3 && word.bytes().all(|b| b.is_ascii_alphabetic())
}

fn keep(found: &mut Vec<String>, directive: &str) {
    let directive = directive.trim().to_ascii_lowercase();
    if !directive.is_empty() && found.len() < DIRECTIVES_MAX && !found.contains(&directive) {
        found.push(directive);
    }
}

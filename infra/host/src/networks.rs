//! Which networks that are not public may be dialled: one list, in the variables, for the components and for the connector.
//!
//! The components refuse what they can see in a URL, the connector what a name resolves to. Both read the same variables, so
//! that the application behaves alike under Spin, where the operator sets them.

use std::collections::{BTreeMap, HashMap};

use anyhow::Context as _;
use ipnet::IpNet;
use trawl_core::address::{AddressPolicy, parse_network};

use crate::cli::Networks;
use crate::variables::in_environment;

/// For pages, and for callbacks when they have no list of their own.
const PAGES: &str = "allow_private";
/// For callbacks.
const CALLBACKS: &str = "allow_private_callback";
/// Closes a list that would otherwise be taken from the other variable.
const NONE: &str = "none";

/// Puts the networks of the command line into the variables, beside those that are given there or in the environment.
pub(crate) fn add_to_variables(
    networks: &Networks,
    given: &mut BTreeMap<String, String>,
    environment: impl Fn(&str) -> Option<String>,
) {
    let both = &networks.allow_private;
    let lists = [
        both,
        &networks.allow_private_scrape,
        &networks.allow_private_callback,
    ];
    if lists.iter().all(|list| list.is_empty()) {
        return;
    }
    // What is given hides the environment: what stands there would be lost to the networks that are added here.
    for name in [PAGES, CALLBACKS] {
        if !given.contains_key(name)
            && let Some(value) = environment(&in_environment(name))
        {
            given.insert(name.to_owned(), value);
        }
    }
    let own_lists =
        !networks.allow_private_scrape.is_empty() || !networks.allow_private_callback.is_empty();
    let own_list = own_lists || given.get(CALLBACKS).is_some_and(|text| !text.is_empty());
    let mut add = |name: &str, flags: &[IpNet], empty: &str| {
        let mut words: Vec<String> = given
            .get(name)
            .filter(|text| !text.is_empty())
            .cloned()
            .into_iter()
            .collect();
        words.extend(both.iter().chain(flags).map(ToString::to_string));
        let text = if words.is_empty() {
            empty.to_owned()
        } else {
            words.join(",")
        };
        if !text.is_empty() {
            given.insert(name.to_owned(), text);
        }
    };
    add(PAGES, &networks.allow_private_scrape, "");
    if own_list {
        add(CALLBACKS, &networks.allow_private_callback, NONE);
    }
}

/// The policy of a component, out of its own variables: the callbacks' list when it has one that is set, else the pages'.
///
/// # Errors
/// A network that can't be read; opening less than was meant would be found out much later.
pub(crate) fn policy(variables: &HashMap<String, String>) -> anyhow::Result<AddressPolicy> {
    let set = |name: &'static str| {
        let text = variables.get(name)?;
        (!text.trim().is_empty()).then_some((name, text.as_str()))
    };
    let (name, text) = set(CALLBACKS).or_else(|| set(PAGES)).unwrap_or((PAGES, ""));
    Ok(AddressPolicy {
        allow: read(name, text)?,
        ..AddressPolicy::default()
    })
}

fn read(name: &str, text: &str) -> anyhow::Result<Vec<IpNet>> {
    let words = text
        .split([',', ' ', '\n', '\t'])
        .filter(|word| !word.is_empty() && *word != NONE);
    words
        .map(|word| {
            parse_network(word)
                .with_context(|| format!("{name}: {word:?} is not a network such as 10.0.0.0/8"))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn networks(both: &[&str], pages: &[&str], callbacks: &[&str]) -> Networks {
        let read = |list: &[&str]| list.iter().map(|text| text.parse().unwrap()).collect();
        Networks {
            allow_private: read(both),
            allow_private_scrape: read(pages),
            allow_private_callback: read(callbacks),
            nat64_prefix: None,
            ca_file: Vec::new(),
            admin_token: None,
        }
    }

    #[track_caller]
    fn check(
        networks: &Networks,
        given: &[(&str, &str)],
        pages: Option<&str>,
        callbacks: Option<&str>,
    ) {
        check_in(|_| None, networks, given, pages, callbacks);
    }

    #[track_caller]
    fn check_in(
        environment: impl Fn(&str) -> Option<String>,
        networks: &Networks,
        given: &[(&str, &str)],
        pages: Option<&str>,
        callbacks: Option<&str>,
    ) {
        let mut given = given
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .collect();
        add_to_variables(networks, &mut given, environment);
        assert_eq!(
            (
                given.get(PAGES).map(String::as_str),
                given.get(CALLBACKS).map(String::as_str)
            ),
            (pages, callbacks)
        );
    }

    #[test]
    fn flags_and_variables_come_together() {
        check(&networks(&[], &[], &[]), &[], None, None);
        check(
            &networks(&["10.0.0.0/8"], &[], &[]),
            &[],
            Some("10.0.0.0/8"),
            None,
        );
        check(
            &networks(&["10.0.0.0/8"], &[], &[]),
            &[(PAGES, "::1")],
            Some("::1,10.0.0.0/8"),
            None,
        );
        check(
            &networks(&[], &["10.0.0.0/8"], &[]),
            &[],
            Some("10.0.0.0/8"),
            Some("none"),
        );
        check(
            &networks(&[], &[], &["10.0.0.0/8"]),
            &[],
            None,
            Some("10.0.0.0/8"),
        );
        check(
            &networks(&["10.0.0.0/8"], &[], &[]),
            &[(CALLBACKS, "::1")],
            Some("10.0.0.0/8"),
            Some("::1,10.0.0.0/8"),
        );
    }

    #[test]
    fn flags_come_beside_the_environment_which_the_command_line_hides() {
        let environment = |name: &str| match name {
            "SPIN_VARIABLE_ALLOW_PRIVATE" => Some("::1".to_owned()),
            "SPIN_VARIABLE_ALLOW_PRIVATE_CALLBACK" => Some("none".to_owned()),
            _ => None,
        };
        let both = networks(&["10.0.0.0/8"], &[], &[]);
        let pages = Some("::1,10.0.0.0/8");
        check_in(environment, &both, &[], pages, Some("none,10.0.0.0/8"));
        check_in(
            environment,
            &both,
            &[(PAGES, "::2"), (CALLBACKS, "")],
            Some("::2,10.0.0.0/8"),
            Some(""),
        );
        // Without a flag nothing has to be put together, and the environment counts as ever.
        check_in(environment, &networks(&[], &[], &[]), &[], None, None);
    }

    #[test]
    fn a_component_dials_what_its_own_variables_open() {
        let variables = |pairs: &[(&str, &str)]| {
            pairs
                .iter()
                .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
                .collect::<HashMap<_, _>>()
        };
        let permits = |pairs: &[(&str, &str)]| {
            policy(&variables(pairs))
                .unwrap()
                .permits("127.0.0.1:80".parse().unwrap())
        };
        assert!(!permits(&[]));
        assert!(permits(&[(PAGES, "127.0.0.0/8")]));
        assert!(permits(&[(PAGES, "127.0.0.1"), (CALLBACKS, "")]));
        assert!(!permits(&[(PAGES, "127.0.0.0/8"), (CALLBACKS, "none")]));
        for name in [PAGES, CALLBACKS] {
            let error = policy(&variables(&[(name, "everything")])).err().unwrap();
            let told = error.to_string();
            assert!(told.starts_with(&format!("{name}: ")), "{told}");
        }
    }
}

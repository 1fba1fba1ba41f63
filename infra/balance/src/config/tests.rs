use super::*;

fn error(text: &str) -> String {
    BalanceConfig::parse(text, "balance.toml")
        .unwrap_err()
        .to_string()
}

#[test]
fn the_contracts_example_is_read() {
    let config = BalanceConfig::parse(
        r#"
strategy = "weighted"            # round-robin, weighted, least-conn, peak-ewma, hash
[[replica]]
id = "app1"
weight = 8
url = "http://127.0.0.1:8001"    # a remote replica; without it the replica is local
max_fails = 1
fail_timeout = "10s"
[[replica]]
id = "app2"
"#,
        "balance.toml",
    )
    .unwrap();
    assert_eq!(config.strategy, StrategyKind::Weighted);
    let first = &config.replicas[0];
    assert_eq!(
        (first.id.as_str(), first.weight, first.max_fails),
        ("app1", 8, 1)
    );
    assert_eq!(
        first.url.as_ref().unwrap().to_string(),
        "http://127.0.0.1:8001"
    );
    assert_eq!(first.fail_timeout, Duration::from_secs(10));
    assert_eq!(config.replicas[1], ReplicaConfig::new("app2", None));
}

#[test]
fn errors_name_file_line_and_key_in_one_line() {
    let cases = [
        ("strategy = \"fastest\"\n", ":1: ", "strategy"),
        ("\nstrategie = \"hash\"\n", ":2: ", "strategie"),
        ("[[replica]]\nid = \"a\"\nweigth = 3\n", ":3: ", "weigth"),
        ("[[replica]]\nid = \"a\"\nweight = 0\n", ":3: ", "weight"),
        ("[[replica]]\nid = \"a b\"\n", ":2: ", "id"),
        (
            "[[replica]]\nid = \"a\"\nfail_timeout = \"10 s\"\n",
            ":3: ",
            "fail_timeout",
        ),
        (
            "[[replica]]\nid = \"a\"\nurl = \"https://a\"\n",
            ":3: ",
            "url",
        ),
        (
            "[[replica]]\nid = \"a\"\nqueue_max = 0\n",
            ":3: ",
            "queue_max",
        ),
        (
            "[[replica]]\nid = \"a\"\n[[replica]]\nid = \"a\"\n",
            ":3: ",
            "twice",
        ),
        ("[[replica]]\nweight = 1\n", ":1: ", "id"),
        ("[check]\nevery = \"1s\"\n", ":2: ", "every"),
        ("[check]\npath = \"readyz\"\n", ":2: ", "path"),
        ("strategy = \"hash\"\n", ": ", "replica"),
        ("strategy = ", ":1: ", ""),
    ];
    for (text, place, key) in cases {
        let error = error(text);
        assert!(
            error.starts_with("balance.toml") && error.contains(place),
            "{text:?}: {error}"
        );
        assert!(error.contains(key), "{text:?}: {error}");
        assert!(!error.contains('\n'), "{text:?}: {error}");
    }
}

#[test]
fn times_are_read_in_each_unit_and_bounded() {
    let read = |text: &str| value::Span::try_from(text.to_owned()).map(|span| span.0.as_millis());
    assert_eq!(read("250ms"), Ok(250));
    assert_eq!(read("10s"), Ok(10_000));
    assert_eq!(read("2m"), Ok(120_000));
    for wrong in ["", "s", "10", "1h", "-1s", "61m", "99999999999999999999s"] {
        assert!(read(wrong).is_err(), "{wrong}");
    }
}

#[test]
fn what_would_stop_the_service_is_refused() {
    let with = |line: &str, table: &str| {
        let text = format!("{line}\n{table}\n[[replica]]\nid = \"a\"\n");
        BalanceConfig::parse(&text, "balance.toml")
    };
    for name in ["deadline", "try_timeout", "queue_target", "queue_interval"] {
        assert!(with(&format!("{name} = \"0s\""), "").is_err(), "{name}");
        assert!(with(&format!("{name} = \"10ms\""), "").is_ok(), "{name}");
    }
    for name in ["interval", "timeout"] {
        let table = format!("[check]\n{name} = \"9ms\"");
        assert!(with("", &table).is_err(), "{name}");
    }
    for mib in ["1", "15", "4097"] {
        let text = format!("[[replica]]\nid = \"a\"\nmemory_mb_max = {mib}\n");
        let told = BalanceConfig::parse(&text, "balance.toml").unwrap_err();
        assert!(told.to_string().contains("16 to 4096"), "{told}");
    }
    let one = with("trusted_proxies = [\"10.0.0.1\"]", "").unwrap();
    assert_eq!(one.trusted_proxies, ["10.0.0.1/32".parse().unwrap()]);
}

#[test]
fn the_simple_case_needs_no_file() {
    let config = BalanceConfig::local(StrategyKind::LeastConn, 3);
    let ids: Vec<_> = config
        .replicas
        .iter()
        .map(|replica| replica.id.as_str())
        .collect();
    assert_eq!(ids, ["replica-1", "replica-2", "replica-3"]);
}

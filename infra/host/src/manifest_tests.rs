use super::*;

const GOOD: &str = r#"
spin_manifest_version = 2
[application]
name = "app"
[variables]
a = { default = "1" }
[[trigger.http]]
route = "/..."
component = "one"
[[trigger.redis]]
channel = "c"
address = "redis://localhost/?lane=1"
component = "one"
[component.one]
source = "one.wasm"
[component.one.tool.trawl]
workers = 3
rings = true
"#;

#[track_caller]
fn refused(from: &str, to: &str, words: &[&str]) {
    assert!(GOOD.contains(from), "{from} is not in the good manifest");
    let error = Manifest::parse(&GOOD.replacen(from, to, 1), "spin.toml")
        .unwrap_err()
        .to_string();
    for word in words {
        assert!(error.contains(word), "{word:?} is not in {error:?}");
    }
    assert_eq!(error.lines().count(), 1, "{error}");
}

#[test]
fn a_good_manifest_is_understood() {
    let manifest = Manifest::parse(GOOD, "spin.toml").unwrap();
    let one = &manifest.component["one"];
    assert_eq!((one.local.workers.count(), one.local.rings), (3, true));
    assert_eq!(manifest.trigger.redis[0].channel, "c");
}

#[test]
fn without_our_table_a_component_is_called_as_on_spin() {
    let text = GOOD.replace("[component.one.tool.trawl]\nworkers = 3\nrings = true", "");
    let local = Manifest::parse(&text, "spin.toml").unwrap().component["one"]
        .local
        .clone();
    assert_eq!((local.workers.count(), local.rings), (1, false));
}

#[test]
fn an_unknown_key_is_named_wherever_it_stands() {
    for table in [
        "[application]",
        "[[trigger.http]]",
        "[[trigger.redis]]",
        "[component.one]",
        "[component.one.tool.trawl]",
    ] {
        refused(
            table,
            &format!("{table}\nsurprise = 1"),
            &["spin.toml", "surprise"],
        );
    }
    refused(
        "default = \"1\"",
        "default = \"1\", surprise = 1",
        &["surprise"],
    );
    refused("[[trigger.http]]", "[[trigger.cron]]", &["cron"]);
}

#[test]
fn a_limit_of_costly_requests_names_routes_of_its_component() {
    let with = |costly: &str| format!("rings = true\ncostly = {{ {costly} }}");
    let good = "routes = [\"/...\"], running_max = 2, waiting_max = 3, network_max = 1";
    let text = GOOD.replace("rings = true", &with(good));
    let local = Manifest::parse(&text, "spin.toml").unwrap().component["one"]
        .local
        .clone();
    let costly = local.costly.unwrap();
    assert_eq!(
        (costly.running_max, costly.waiting_max, costly.network_max),
        (2, 3, 1)
    );
    for (costly, named) in [
        (good.replace("/...", "/token"), "/token"),
        (
            good.replace("running_max = 2", "running_max = 0"),
            "running_max",
        ),
        (good.replace("waiting_max = 3", "wait_max = 3"), "wait_max"),
        (good.replace(", running_max = 2", ""), "running_max"),
        (
            good.replace("network_max = 1", "network_max = 0"),
            "network_max",
        ),
        (good.replace(", network_max = 1", ""), "network_max"),
    ] {
        refused(
            "rings = true",
            &with(&costly),
            &["component.one.tool.trawl", named],
        );
    }
}

#[test]
fn our_own_manifest_has_the_limits_of_password_hashes() {
    use trawl_core::limits::account::{
        HASHES_AT_ONCE_MAX, HASHES_OF_NETWORK_MAX, HASHES_WAITING_MAX,
    };
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../spin.toml");
    let manifest = Manifest::read(&file).unwrap();
    let costly = manifest.component["auth"].local.costly.as_ref().unwrap();
    assert_eq!(costly.running_max, HASHES_AT_ONCE_MAX);
    assert_eq!(costly.waiting_max, HASHES_WAITING_MAX as usize);
    assert_eq!(costly.network_max, HASHES_OF_NETWORK_MAX);
    // Whatever leads to `POST /users/` or `POST /token`, and nothing else.
    assert_eq!(costly.routes, ["/users", "/users/...", "/token"]);
}

#[test]
fn what_does_not_fit_together_is_refused() {
    refused("component = \"one\"", "component = \"two\"", &["two"]);
    refused("a = { default = \"1\" }", "a = { }", &["variables.a"]);
    refused(
        "a = { default = \"1\" }",
        "a = { default = \"1\", required = true }",
        &["variables.a"],
    );
    refused("route = \"/...\"", "route = \"/:id\"", &["/:id"]);
    refused(
        "spin_manifest_version = 2",
        "spin_manifest_version = 1",
        &["spin_manifest_version"],
    );
    refused(
        "source = \"one.wasm\"",
        "source = \"one.wasm\"\nsqlite_databases = [\"x\"]",
        &["x", "default"],
    );
    for mib in ["0", "1000000"] {
        refused(
            "rings = true",
            &format!("rings = true\nmemory_mb_max = {mib}"),
            &["component.one.tool.trawl", "memory_mb_max", "16 to 4096"],
        );
    }
    for (workers, named) in [("0", "at least 1"), ("\"many\"", "a number or \"cores\"")] {
        refused(
            "workers = 3",
            &format!("workers = {workers}"),
            &["component.one.tool.trawl", named],
        );
    }
    for route in ["/...", "/.../"] {
        refused(
            "[component.one]",
            &format!("[[trigger.http]]\nroute = \"{route}\"\ncomponent = \"one\"\n[component.one]"),
            &["route"],
        );
    }
    refused("[application]", "[application", &["spin.toml:3"]);
}

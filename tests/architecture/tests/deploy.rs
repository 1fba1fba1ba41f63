//! The files of `infra/deploy` fit the application and Spin: they break here, not on somebody's cluster.

#![allow(
    clippy::expect_used,
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test that cannot go on fails with a sentence"
)]

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr};
use std::path::PathBuf;

use ipnet::IpNet;
use trawl_core::address::is_public;
use trawl_core::limits::host::INSTANCE_MEMORY_MB_MAX;
use yaml_rust2::{Yaml, YamlLoader};

const CONTAINERFILE: &str = "infra/deploy/Containerfile";
const CONTAINERFILE_LOCAL: &str = "infra/deploy/Containerfile.local";
const COMPOSE: &str = "infra/deploy/compose.yaml";
const KUBERNETES: &str = "infra/deploy/kubernetes/trawl.yaml";
const RUNTIME_CONFIGS: [&str; 3] = [
    "infra/deploy/runtime-config.toml",
    "infra/deploy/runtime-config-libsql.toml",
    "infra/deploy/runtime-config-loopback.toml",
];
/// The networks of Redis that each of these files leaves open, so that `spin:redis` reaches it.
const REDIS_NETWORKS: [&str; 3] = ["172.31.255.0/28", "172.31.255.0/28", "127.0.0.6/32"];

fn text(path: &str) -> String {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR"))
        .join("../..")
        .join(path);
    std::fs::read_to_string(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
}

fn table(path: &str) -> toml::Table {
    text(path)
        .parse()
        .unwrap_or_else(|e| panic!("{path} is not TOML: {e}"))
}

fn documents(path: &str) -> Vec<Yaml> {
    YamlLoader::load_from_str(&text(path)).unwrap_or_else(|e| panic!("{path} is not YAML: {e}"))
}

/// The names in a table of `spin.toml`.
fn names(of: &str) -> BTreeSet<String> {
    table("spin.toml")[of]
        .as_table()
        .unwrap()
        .keys()
        .cloned()
        .collect()
}

/// The components that triggers of this kind call.
fn triggered(kind: &str) -> BTreeSet<String> {
    table("spin.toml")["trigger"][kind]
        .as_array()
        .unwrap()
        .iter()
        .map(|trigger| trigger["component"].as_str().unwrap().to_owned())
        .collect()
}

/// The arguments that the image starts Spin with.
fn entrypoint() -> Vec<String> {
    let file = text(CONTAINERFILE);
    let line = file
        .lines()
        .find_map(|line| line.strip_prefix("ENTRYPOINT "))
        .expect("the image says how it starts");
    serde_json::from_str(line).expect("ENTRYPOINT is in its JSON form, so that signals reach Spin")
}

fn value_of(flag: &str) -> String {
    let arguments = entrypoint();
    let at = arguments.iter().position(|argument| argument == flag);
    arguments[at.unwrap_or_else(|| panic!("ENTRYPOINT has no {flag}")) + 1].clone()
}

#[test]
fn the_image_holds_the_manifest_and_every_component() {
    let sources: BTreeSet<String> = table("spin.toml")["component"]
        .as_table()
        .unwrap()
        .values()
        .map(|component| component["source"].as_str().unwrap().to_owned())
        .collect();
    let file = text(CONTAINERFILE);
    let copied: BTreeSet<String> = file
        .split_whitespace()
        .filter(|word| {
            PathBuf::from(word)
                .extension()
                .is_some_and(|extension| extension == "wasm")
        })
        .map(ToOwned::to_owned)
        .collect();
    assert_eq!(sources, copied);
    assert!(file.contains("COPY spin.toml "), "{file}");
    assert_eq!(value_of("--from"), "/app/spin.toml");
    let config = format!(
        "COPY {} {}",
        RUNTIME_CONFIGS[0],
        value_of("--runtime-config-file")
    );
    assert!(file.contains(&config), "{config}");
    // Spin does not start without a home directory that it can write.
    let home = format!("ENV HOME={}\n", value_of("--state-dir"));
    assert!(file.contains(&home), "{home}");
}

/// Without it a host can't tell whose leases to end when an instance has died.
#[test]
fn every_scraper_is_told_its_name() {
    let components = table("spin.toml")["component"].clone();
    let scrapers: Vec<_> = components
        .as_table()
        .unwrap()
        .iter()
        .filter(|(id, _)| id.starts_with("scraper-"))
        .collect();
    assert_eq!(scrapers.len(), 3);
    for (id, component) in scrapers {
        let given = component["variables"].get("worker");
        assert_eq!(
            given.and_then(|it| it.as_str()),
            Some("{{ worker }}"),
            "{id}"
        );
    }
}

#[test]
fn the_local_image_and_unit_set_what_the_host_reads() {
    let (cli, image) = (text("infra/host/src/cli.rs"), text(CONTAINERFILE_LOCAL));
    let set = image.lines().find_map(|line| line.strip_prefix("ENV "));
    let set: Vec<(&str, &str)> = set
        .expect("the image has settings")
        .split(' ')
        .filter_map(|pair| pair.split_once('='))
        .collect();
    for (name, _) in &set {
        assert!(cli.contains(&format!("env = \"{name}\"")), "{name}");
    }
    let value = |name| set.iter().find(|(set, _)| *set == name).unwrap().1;
    let port = value("TRAWL_LISTEN").rsplit_once(':').unwrap().1;
    assert!(image.contains(&format!("EXPOSE {port}")));
    let state = value("TRAWL_STATE_DIR");
    assert!(image.contains(&format!("VOLUME {state}\n")));
    assert!(image.contains(&format!(" {state}\n")), "made for the user");
    // What both run lies in the package.
    let unit = text("infra/deploy/trawl.service");
    let makefile = text("Makefile");
    for part in ["$(TRAWL)", "spin.toml", "infra/deploy/trawl.service"] {
        assert!(makefile.contains(part), "{part}");
    }
    assert!(unit.contains(&format!("--from {}", value("TRAWL_FROM"))));
    let program = unit
        .lines()
        .find_map(|line| line.strip_prefix("ExecStart=")?.split(' ').next())
        .unwrap();
    assert!(image.contains(&format!("ENTRYPOINT [\"{program}\"")));
}

/// Spin does not start with a key that it does not know.
#[test]
fn runtime_configs_hold_only_what_spin_reads() {
    for path in RUNTIME_CONFIGS {
        let config = table(path);
        for key in config.keys() {
            assert!(
                [
                    "max_instance_memory",
                    "sqlite_database",
                    "outbound_networking"
                ]
                .contains(&key.as_str()),
                "{path}: is {key} a key of Spin? Then list it here. (state_dir is one, but not beside --state-dir)"
            );
        }
        // An instance has no more room under Spin than in our own host.
        assert_eq!(
            config["max_instance_memory"].as_integer(),
            i64::try_from(INSTANCE_MEMORY_MB_MAX << 20).ok(),
            "{path}"
        );
        let networking: Vec<&String> = config["outbound_networking"]
            .as_table()
            .unwrap()
            .keys()
            .collect();
        assert_eq!(networking, ["block_networks"], "{path}");
        // Without it, the database lies in the state directory.
        let Some(databases) = config.get("sqlite_database") else {
            continue;
        };
        let databases = databases.as_table().unwrap();
        assert_eq!(databases.keys().collect::<Vec<_>>(), ["default"], "{path}");
        let database = databases["default"].as_table().unwrap();
        let keys: Vec<&str> = database.keys().map(String::as_str).collect();
        match database["type"].as_str() {
            // Without a path, each `open` gets an empty database in memory.
            Some("spin") => assert_eq!(keys, ["path", "type"], "{path}"),
            Some("libsql") => assert_eq!(keys, ["token", "type", "url"], "{path}"),
            other => panic!("{path}: Spin has no database of the type {other:?}"),
        }
    }
}

fn blocked(path: &str) -> Vec<IpNet> {
    table(path)["outbound_networking"]["block_networks"]
        .as_array()
        .unwrap()
        .iter()
        .map(|network| {
            let written = network.as_str().unwrap();
            let parsed: IpNet = written
                .parse()
                .unwrap_or_else(|e| panic!("{path}: {written}: {e}"));
            assert_eq!(parsed, parsed.trunc(), "{path}: {written} has host bits");
            parsed
        })
        .collect()
}

/// Where IPv4 turns from public to refused or back, as far as whole /24 networks go.
fn boundaries() -> Vec<u32> {
    let public = |high: u32| is_public(Ipv4Addr::from_bits(high << 8).into());
    (1..1_u32 << 24)
        .filter(|&high| public(high) != public(high - 1))
        .map(|high| high << 8)
        .collect()
}

/// What Spin's client refuses to dial is what `core` says is not public, but for the network of Redis.
#[test]
fn block_networks_are_those_that_core_refuses() {
    let boundaries = boundaries();
    for (path, redis) in RUNTIME_CONFIGS.into_iter().zip(REDIS_NETWORKS) {
        let (blocked, redis): (_, IpNet) = (blocked(path), redis.parse().unwrap());
        let check = |ip: IpAddr| {
            let is_blocked = blocked.iter().any(|network| network.contains(&ip));
            let refused = !is_public(ip) && !redis.contains(&ip);
            assert_eq!(is_blocked, refused, "{path}: {ip}");
        };
        let edges = blocked.iter().chain([&redis]).filter_map(|net| match net {
            IpNet::V4(net) => Some([net.network().to_bits(), net.broadcast().to_bits()]),
            IpNet::V6(_) => None,
        });
        // Azure's agent stands alone inside a public network.
        let azure = Ipv4Addr::new(168, 63, 129, 16).to_bits();
        for bits in boundaries
            .iter()
            .copied()
            .chain(edges.flatten())
            .chain([azure])
        {
            for near in [bits.wrapping_sub(1), bits, bits.wrapping_add(1)] {
                check(Ipv4Addr::from_bits(near).into());
            }
        }
        for address in IPV6_SAMPLES {
            check(address.parse().unwrap());
        }
    }
}

/// One of each kind that the rules name, then public ones beside them.
const IPV6_SAMPLES: [&str; 30] = [
    "::",
    "::1",
    "::7f00:1",
    "::ffff:10.0.0.1",
    "::ffff:0:7f00:1",
    "64:ff9b::a00:1",
    "64:ff9b:1::1",
    "100::1",
    "100:0:0:1::1",
    "1fff:ffff::1",
    "2001::1",
    "2001:1ff::1",
    "2001:db8::1",
    "2001:db8:ffff::1",
    "2002:7f00:1::1",
    "2620:4f:8000::1",
    "3fff:fff::1",
    "4000::1",
    "5f00::1",
    "8000::1",
    "fc00::1",
    "fdff::1",
    "fe80::1",
    "ff02::1",
    "2001:200::1",
    "2001:db9::1",
    "2003::1",
    "2606:4700::1111",
    "2a00:1450::1",
    "3fff:1000::1",
];

/// The application variables that an environment sets by `SPIN_VARIABLE_…`.
fn variables<'a>(environment: impl Iterator<Item = &'a str>) -> BTreeSet<String> {
    environment
        .filter_map(|name| name.strip_prefix("SPIN_VARIABLE_"))
        .map(str::to_ascii_lowercase)
        .collect()
}

fn assert_variables(given: &BTreeSet<String>, whose: &str) {
    let unknown: Vec<_> = given.difference(&names("variables")).cloned().collect();
    assert!(unknown.is_empty(), "{whose}: no such variable: {unknown:?}");
    let manifest = table("spin.toml");
    for (name, variable) in manifest["variables"].as_table().unwrap() {
        let required = variable
            .get("required")
            .is_some_and(|required| required.as_bool() == Some(true));
        assert!(
            !required || given.contains(name),
            "{whose}: Spin does not start without {name}"
        );
    }
    assert!(given.contains("redis_url"), "{whose}: where is Redis?");
}

#[test]
fn compose_starts_what_spin_needs() {
    let compose = &documents(COMPOSE)[0];
    let services = &compose["services"];
    let trawl = &services["trawl"];
    let environment = trawl["environment"].as_hash().unwrap();
    assert_variables(
        &variables(environment.keys().filter_map(Yaml::as_str)),
        COMPOSE,
    );
    let ip = services["redis"]["networks"]["bell"]["ipv4_address"]
        .as_str()
        .unwrap();
    let subnet = compose["networks"]["bell"]["ipam"]["config"][0]["subnet"]
        .as_str()
        .unwrap();
    assert_eq!(subnet, REDIS_NETWORKS[0]);
    let address: IpAddr = ip.parse().unwrap();
    assert!(subnet.parse::<IpNet>().unwrap().contains(&address));
    assert_eq!(
        trawl["environment"]["SPIN_VARIABLE_REDIS_URL"].as_str(),
        Some(format!("redis://{ip}:6379").as_str())
    );
    let clock = services["clock"]["command"][2].as_str().unwrap();
    assert!(
        clock.contains(&format!("-h {ip} publish tick")),
        "Spin has no clock: {clock}"
    );
    let state = format!("data:{}", value_of("--state-dir"));
    assert_eq!(trawl["volumes"][0].as_str(), Some(state.as_str()));
    let port = value_of("--listen").rsplit_once(':').unwrap().1.to_owned();
    assert!(
        trawl["ports"][0]
            .as_str()
            .unwrap()
            .ends_with(&format!(":{port}")),
        "{trawl:?}"
    );
    for (name, service) in services.as_hash().unwrap() {
        let name = name.as_str().unwrap();
        let ends = service["restart"].as_str();
        assert!(
            ends == Some("always") || (name == "prepare" && ends == Some("no")),
            "Spin exits when Redis does, so {name} has to be started again"
        );
    }
}

/// The containers of the Deployments, with the Deployment's name.
fn containers() -> Vec<(String, Yaml)> {
    documents(KUBERNETES)
        .into_iter()
        .filter(|document| document["kind"].as_str() == Some("Deployment"))
        .map(|document| {
            let name = document["metadata"]["name"].as_str().unwrap().to_owned();
            let template = &document["spec"]["template"];
            assert_eq!(
                document["spec"]["selector"]["matchLabels"], template["metadata"]["labels"],
                "{name} selects its own pods"
            );
            assert_eq!(
                template["spec"]["securityContext"]["runAsNonRoot"].as_bool(),
                Some(true),
                "{name}"
            );
            (name, template["spec"]["containers"][0].clone())
        })
        .collect()
}

/// The components that a container runs, by its `-c` flags.
fn chosen(container: &Yaml) -> BTreeSet<String> {
    let arguments: Vec<&str> = container["args"]
        .as_vec()
        .into_iter()
        .flatten()
        .filter_map(Yaml::as_str)
        .collect();
    arguments
        .chunks(2)
        .map(|pair| {
            assert_eq!(pair[0], "-c", "{arguments:?}");
            pair[1].to_owned()
        })
        .collect()
}

#[test]
fn kubernetes_runs_every_component_once_and_keeps_redis_out_of_the_api() {
    let containers = containers();
    let find = |name: &str| {
        let found = containers.iter().find(|(other, _)| other == name);
        &found.unwrap_or_else(|| panic!("no Deployment {name}")).1
    };
    let (api, workers) = (find("trawl-api"), find("trawl-workers"));
    let producers = find("trawl-producers");
    // A process with a Redis trigger ends when Redis goes away, and nodes should still be answered then.
    assert_eq!(chosen(api), triggered("http"));
    assert!(chosen(workers).is_disjoint(&chosen(producers)));
    let with_redis: BTreeSet<String> = chosen(workers).union(&chosen(producers)).cloned().collect();
    assert_eq!(with_redis, triggered("redis"));
    assert!(chosen(api).is_disjoint(&with_redis));
    let all: BTreeSet<String> = chosen(api).union(&with_redis).cloned().collect();
    assert_eq!(all, names("component"));
    // Each process that hears a published request records it.
    assert_eq!(chosen(producers), BTreeSet::from(["producers".to_owned()]));
    let deployment = documents(KUBERNETES)
        .into_iter()
        .find(|it| it["metadata"]["name"].as_str() == Some("trawl-producers"))
        .unwrap();
    assert_eq!(deployment["spec"]["replicas"].as_i64(), Some(1));
    let strategy = &deployment["spec"]["strategy"]["type"];
    assert_eq!(strategy.as_str(), Some("Recreate"));
    let instance_mb = i64::try_from(INSTANCE_MEMORY_MB_MAX).unwrap();
    for (name, container) in [
        ("trawl-api", api),
        ("trawl-workers", workers),
        ("trawl-producers", producers),
    ] {
        let environment = container["env"].as_vec().unwrap();
        let given = variables(
            environment
                .iter()
                .filter_map(|entry| entry["name"].as_str()),
        );
        assert_variables(&given, name);
        // Else the process would end before an instance that grows does, and every page in it with it.
        let limit = container["resources"]["limits"]["memory"].as_str();
        let limit_mb = limit
            .and_then(|limit| limit.strip_suffix("Gi")?.parse::<i64>().ok())
            .map(|gib| gib * 1_024);
        assert!(limit_mb > Some(instance_mb + 256), "{name}: {limit:?}");
        let mounts: BTreeSet<&str> = container["volumeMounts"]
            .as_vec()
            .unwrap()
            .iter()
            .filter_map(|mount| mount["mountPath"].as_str())
            .collect();
        for path in [
            value_of("--runtime-config-file"),
            value_of("--state-dir"),
            "/tmp".to_owned(),
        ] {
            assert!(mounts.contains(path.as_str()), "{name}: {path}");
        }
    }
    let port = value_of("--listen")
        .rsplit_once(':')
        .unwrap()
        .1
        .parse()
        .ok();
    assert_eq!(api["ports"][0]["containerPort"].as_i64(), port);
    for (probe, path) in [
        ("startupProbe", "/livez"),
        ("readinessProbe", "/readyz"),
        ("livenessProbe", "/livez"),
    ] {
        assert_eq!(api[probe]["httpGet"]["path"].as_str(), Some(path));
    }
    let clock = find("trawl-clock")["command"][2].as_str().unwrap();
    assert!(clock.contains("publish tick"), "{clock}");
}

#[test]
fn the_service_leads_to_the_api() {
    let documents = documents(KUBERNETES);
    let of_kind = |kind: &str, name: &str| {
        let is = |document: &&Yaml| {
            document["kind"].as_str() == Some(kind)
                && document["metadata"]["name"].as_str() == Some(name)
        };
        documents
            .iter()
            .find(is)
            .unwrap_or_else(|| panic!("no {kind} {name}"))
    };
    let service = of_kind("Service", "trawl");
    let labels = &of_kind("Deployment", "trawl-api")["spec"]["template"]["metadata"]["labels"];
    assert_eq!(&service["spec"]["selector"], labels);
    // What is secret is filled in by the operator, never by this file.
    let secret = of_kind("Secret", "trawl")["stringData"].as_hash().unwrap();
    for (key, value) in secret {
        assert_eq!(value.as_str(), Some(""), "{key:?}");
    }
}

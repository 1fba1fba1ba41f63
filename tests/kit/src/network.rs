//! A network of the test's own: Linux namespaces in which every address of the Internet is this machine, and in which the
//! test answers all names. Nothing that is sent there leaves the machine.

use std::process::Command;

/// Tells the test's second process that it is inside.
const INSIDE: &str = "TRAWL_TEST_INSIDE_NETWORK";

/// Everything is local, names are asked for at 127.0.0.1, and no service of the machine answers them instead.
const SET_UP: &str = r#"
set -e
ip link set lo up
ip route add local 0.0.0.0/0 dev lo
ip -6 route add local ::/0 dev lo
echo "nameserver 127.0.0.1" > "$1/resolv.conf"
printf '127.0.0.1 localhost\n::1 localhost\n' > "$1/hosts"
echo "hosts: files dns" > "$1/nsswitch.conf"
for file in resolv.conf hosts nsswitch.conf; do
  [ ! -e "/etc/$file" ] || mount --bind "$1/$file" "/etc/$file"
done
shift
exec "$@"
"#;

/// Runs `test` in such a network: the test program starts its test `name` once more in there.
///
/// # Panics
/// With a sentence when there can be no such network here, or when the test fails inside.
pub fn run_inside<F: Future<Output = ()>>(name: &str, test: impl FnOnce() -> F) {
    if is_inside(name) {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .enable_all()
            .build()
            .expect("a runtime");
        runtime.block_on(test());
    }
}

/// Whether this process is the one inside; if not, that one has run, without a fault, when this returns.
fn is_inside(name: &str) -> bool {
    if std::env::var_os(INSIDE).is_some() {
        assert_alone();
        return true;
    }
    let files = tempfile::tempdir().expect("a temporary directory");
    let itself = std::env::current_exe().expect("a test knows its file");
    let mut command = Command::new("unshare");
    // Who is not root becomes root of a namespace of users first.
    if !is_root() {
        command.args(["--user", "--map-root-user"]);
    }
    let status = command
        .args(["--net", "--mount", "--", "sh", "-c", SET_UP, "sh"])
        .arg(files.path())
        .arg(itself)
        .args(["--exact", name, "--nocapture"])
        .env(INSIDE, "1")
        .status();
    let status = status.unwrap_or_else(|e| {
        panic!("this test needs `unshare` (util-linux) to have a network of its own: {e}")
    });
    assert!(
        status.success(),
        "{name} failed in a network of its own ({status}): see above. It needs `ip` (iproute2) and the right to make namespaces"
    );
    false
}

#[allow(
    unsafe_code,
    reason = "geteuid(2) has no safe form in the standard library; it takes nothing and can't fail"
)]
fn is_root() -> bool {
    // SAFETY: no memory is shared.
    unsafe { libc::geteuid() == 0 }
}

/// The test is about to send requests to addresses that belong to others; where a route leads out it must not.
fn assert_alone() {
    let routes = std::fs::read_to_string("/proc/net/route").expect("/proc is there");
    let ways_out: Vec<&str> = routes.lines().skip(1).collect();
    assert!(
        ways_out.is_empty(),
        "{INSIDE} is set, but routes lead out of this network: {ways_out:?}"
    );
}

//! The key that signs access tokens: made at the first start, and kept where only the operator can read it.

use std::collections::BTreeMap;
use std::fs::Permissions;
use std::io::Write as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use anyhow::Context as _;
use trawl_core::token::TokenKeys;

use crate::manifest::Manifest;
use crate::random;
use crate::variables::Variables;

/// The variable, and the name of the file in the state directory.
const NAME: &str = "jwt_secret";
/// Bytes of the key: as many as the hash has that it is used with (RFC 7518, section 3.2).
const BYTES: usize = 32;

/// Adds the kept key to the given variables when the manifest asks for one and nobody gave it.
///
/// # Errors
/// A key that can be neither read nor kept.
pub(crate) fn provide(
    manifest: &Manifest,
    given: &mut BTreeMap<String, String>,
    state: &Path,
) -> anyhow::Result<()> {
    let asked_for = manifest
        .variables
        .get(NAME)
        .is_some_and(|variable| variable.required);
    let elsewhere = std::env::var_os("SPIN_VARIABLE_JWT_SECRET").is_some();
    if asked_for && !elsewhere && !given.contains_key(NAME) {
        given.insert(NAME.to_owned(), kept(state)?);
    }
    Ok(())
}

/// Refuses a key that could be guessed, before anything is served.
///
/// # Errors
/// One line that says what a good key is.
pub(crate) fn check(variables: &Variables, state: &Path) -> anyhow::Result<()> {
    if let Some(secret) = variables.get(NAME) {
        let previous = variables
            .get("jwt_secret_previous")
            .filter(|previous| !previous.is_empty());
        TokenKeys::parse(secret, None).map_err(|error| {
            let file = state.join(NAME);
            let kept = std::fs::read_to_string(&file).is_ok_and(|kept| kept.trim() == secret);
            let place = if kept {
                format!("{} is damaged", file.display())
            } else {
                NAME.to_owned()
            };
            anyhow::anyhow!("{place}: {error}")
        })?;
        TokenKeys::parse(secret, previous)
            .map_err(|error| anyhow::anyhow!("jwt_secret_previous: {error}"))?;
    }
    Ok(())
}

fn kept(state: &Path) -> anyhow::Result<String> {
    let file = state.join(NAME);
    let context = || {
        format!(
            "can't keep the signing key in {}; make the directory writable, or name another with --state-dir",
            file.display()
        )
    };
    match std::fs::read_to_string(&file) {
        Ok(secret) => {
            close_to_others(&file);
            return Ok(secret.trim().to_owned());
        }
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
        // Another key in its place would end every token.
        Err(error) => {
            let file = file.display();
            return Err(error).with_context(|| {
                format!("can't read the signing key {file}; run as its owner, or mend the file")
            });
        }
    }
    let secret = random::hex::<BYTES>()?;
    // A temporary file is readable by its owner only. Two hosts may start at once in one directory: the first one's key
    // counts, and neither sees half a file.
    let mut made = tempfile::NamedTempFile::new_in(state).with_context(context)?;
    made.write_all(secret.as_bytes())
        .and_then(|()| made.as_file().sync_all())
        .with_context(context)?;
    match made.persist_noclobber(&file) {
        Ok(_) => Ok(secret),
        Err(error) if error.error.kind() == std::io::ErrorKind::AlreadyExists => {
            Ok(std::fs::read_to_string(&file)
                .with_context(context)?
                .trim()
                .to_owned())
        }
        Err(error) => Err(error.error).with_context(context),
    }
}

/// Whoever reads the key can make tokens of anybody. It is not made so, but it may have been copied so, beside a backup for instance.
fn close_to_others(file: &Path) {
    let is_open =
        std::fs::metadata(file).is_ok_and(|found| found.permissions().mode() & 0o077 != 0);
    if is_open && let Err(error) = std::fs::set_permissions(file, Permissions::from_mode(0o600)) {
        let file = file.display();
        tracing::warn!(%file, %error, "others can read the key that signs tokens");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_key_is_made_once_and_nobody_else_can_read_it() {
        let state = tempfile::tempdir().unwrap();
        let secret = kept(state.path()).unwrap();
        assert_eq!(secret.len(), 2 * BYTES);
        let file = state.path().join(NAME);
        let mode = || std::fs::metadata(&file).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode(), 0o600);
        // As a copy may be.
        std::fs::set_permissions(&file, Permissions::from_mode(0o644)).unwrap();
        assert_eq!(kept(state.path()).unwrap(), secret);
        assert_eq!(mode(), 0o600);
        assert!(TokenKeys::parse(&secret, None).is_ok());
    }

    #[test]
    fn of_a_damaged_key_the_file_is_named() {
        let state = tempfile::tempdir().unwrap();
        let file = state.path().join(NAME);
        std::fs::write(&file, "ab").unwrap();
        let error = |key: &str| {
            let given = BTreeMap::from([(NAME.to_owned(), key.to_owned())]);
            let declared =
                BTreeMap::from([(NAME.to_owned(), toml::from_str("required = true").unwrap())]);
            let variables = Variables::resolve(&declared, &given, |_| None).unwrap();
            check(&variables, state.path()).unwrap_err().to_string()
        };
        assert!(error("ab").starts_with(&file.display().to_string()));
        assert!(error("cd").starts_with("jwt_secret: "), "it was given");
    }

    #[test]
    fn a_key_that_can_not_be_read_is_not_replaced() {
        let state = tempfile::tempdir().unwrap();
        let file = state.path().join(NAME);
        std::fs::write(&file, [0xff]).unwrap();
        let error = format!("{:#}", kept(state.path()).unwrap_err());
        assert!(error.contains("can't read the signing key"), "{error}");
        assert_eq!(std::fs::read(&file).unwrap(), [0xff]);
    }
}

//! E-mail addresses as account names: checked, and normalised to one key per mailbox.

/// Octets of a local part (RFC 5321 4.5.3.1.1).
const LOCAL_BYTES_MAX: usize = 64;
/// Octets of an address that fits a path (RFC 5321 4.5.3.1.3, less the brackets).
pub const ADDRESS_BYTES_MAX: usize = 254;

/// An address that can be an account's name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Email {
    /// As given, without surrounding blanks.
    pub address: String,
    /// Lower case, with the domain in its ASCII form: what is unique. Mail systems may tell `A@x` from `a@x`;
    /// none in use does, and two accounts that differ in case only would be a trap.
    pub key: String,
}

/// Why an address is refused, worded for the person who typed it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum EmailError {
    /// No `@`, or nothing on one side of it.
    #[error("an e-mail address looks like name@example.org")]
    Shape,
    /// Longer than mail allows.
    #[error(
        "the address is longer than {ADDRESS_BYTES_MAX} bytes, or its name longer than {LOCAL_BYTES_MAX}"
    )]
    Length,
    /// Something in the local part that is not letters, digits, or `.!#$%&'*+/=?^_`{|}~-`.
    #[error("the part before the @ holds a character that is not allowed")]
    Local,
    /// Not a domain name.
    #[error("the part after the @ is not a domain name")]
    Domain,
}

impl Email {
    /// Reads an address.
    ///
    /// # Errors
    /// [`EmailError`] says what is wrong with it.
    pub fn parse(text: &str) -> Result<Self, EmailError> {
        let address = text.trim();
        if address.len() > ADDRESS_BYTES_MAX {
            return Err(EmailError::Length);
        }
        let (local, domain) = address.rsplit_once('@').ok_or(EmailError::Shape)?;
        if local.is_empty() || domain.is_empty() {
            return Err(EmailError::Shape);
        }
        if local.len() > LOCAL_BYTES_MAX {
            return Err(EmailError::Length);
        }
        if !is_dot_atom(local) {
            return Err(EmailError::Local);
        }
        let domain = idna::domain_to_ascii_strict(domain).map_err(|_| EmailError::Domain)?;
        if !is_domain(&domain) {
            return Err(EmailError::Domain);
        }
        let key = format!("{}@{domain}", local.to_ascii_lowercase());
        if key.len() > ADDRESS_BYTES_MAX {
            return Err(EmailError::Length);
        }
        Ok(Self {
            address: address.to_owned(),
            key,
        })
    }
}

/// `dot-atom` of RFC 5322 3.2.3: quoted local parts exist on paper only.
fn is_dot_atom(local: &str) -> bool {
    local.split('.').all(|atom| {
        !atom.is_empty()
            && atom
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || b"!#$%&'*+/=?^_`{|}~-".contains(&b))
    })
}

/// Two labels at least, unless it is `localhost`; the last one not a number, so that no IP address passes.
fn is_domain(domain: &str) -> bool {
    let Some((_, last)) = domain.rsplit_once('.') else {
        return domain == "localhost";
    };
    !last.is_empty()
        && !last.bytes().all(|b| b.is_ascii_digit())
        && domain.split('.').all(|label| !label.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_key_per_mailbox() {
        for (text, key) in [
            ("Ann@Example.ORG", "ann@example.org"),
            ("  a.b+c@x.co ", "a.b+c@x.co"),
            ("o'neil@bücher.example", "o'neil@xn--bcher-kva.example"),
            ("me@localhost", "me@localhost"),
        ] {
            assert_eq!(Email::parse(text).unwrap().key, key);
        }
    }

    #[test]
    fn what_is_not_an_address() {
        let long_name = format!("{}@example.org", "a".repeat(65));
        let long_all = format!("a@{}.org", "b.".repeat(130));
        for text in [
            "",
            "ann",
            "@",
            "a@",
            "@b.c",
            "a b@c.de",
            "a..b@c.de",
            ".a@c.de",
            "a.@c.de",
            "a@b",
            "a@b..c",
            "a@-b.de",
            "a@1.2.3.4",
            "a@[::1]",
            "\"a\"@b.de",
            "a@b@c.de",
            "a@b_c.de",
            "a\n@b.de",
            "é@b.de",
            "a@b.de\u{0}",
            &long_name,
            &long_all,
        ] {
            assert!(Email::parse(text).is_err(), "{text:?}");
        }
    }
}

use super::*;

#[test]
fn the_documented_table_is_that_of_the_code() {
    let documented: Vec<&str> = include_str!("../ERRORS.md")
        .lines()
        .filter(|line| line.starts_with("| `"))
        .collect();
    let expected: Vec<String> = TABLE
        .iter()
        .map(|(_, code, permanent, meaning)| {
            let again = if *permanent { "permanent" } else { "transient" };
            format!("| `{code}` | {again} | {meaning} |")
        })
        .collect();
    assert_eq!(documented, expected);
}

#[test]
fn codes_are_unique_and_every_url_error_has_one_for_good() {
    let mut codes: Vec<&str> = TABLE.iter().map(|row| row.1).collect();
    codes.sort_unstable();
    codes.dedup();
    assert_eq!(codes.len(), TABLE.len());
    for (error, code) in [
        (UrlError::Invalid, "invalid_url"),
        (UrlError::NoHost, "invalid_url"),
        (UrlError::TooLong, "url_too_long"),
        (UrlError::Scheme, "scheme_not_allowed"),
        (UrlError::Userinfo, "userinfo_not_allowed"),
        (UrlError::Port, "port_not_allowed"),
        (UrlError::Address, "address_not_allowed"),
    ] {
        assert_eq!(FetchCode::from(error).code(), code);
        assert!(FetchCode::from(error).is_permanent());
    }
}

#[test]
fn only_not_now_is_said_for_the_whole_host() {
    let spoken = (0..=999).filter(|&status| speaks_for_host(status));
    assert_eq!(spoken.collect::<Vec<_>>(), [429, 503]);
}

#[test]
fn statuses_are_sorted() {
    for (status, class) in [
        (200, StatusClass::Success),
        (206, StatusClass::Success),
        (300, StatusClass::Permanent),
        (301, StatusClass::Redirect),
        (304, StatusClass::NotModified),
        (305, StatusClass::Permanent),
        (308, StatusClass::Redirect),
        (400, StatusClass::Permanent),
        (401, StatusClass::Permanent),
        (403, StatusClass::Permanent),
        (404, StatusClass::Permanent),
        (408, StatusClass::Transient),
        (410, StatusClass::Permanent),
        (425, StatusClass::Transient),
        (429, StatusClass::Transient),
        (451, StatusClass::Permanent),
        (500, StatusClass::Transient),
        (503, StatusClass::Transient),
        (599, StatusClass::Transient),
        (600, StatusClass::Permanent),
        (999, StatusClass::Permanent),
        (0, StatusClass::Permanent),
    ] {
        assert_eq!(classify_status(status), class, "{status}");
    }
    assert_eq!(
        FetchCode::Http(404).job_error(None),
        JobError {
            code: "http_404".into(),
            detail: "the server answered 404".into(),
            permanent: true,
        }
    );
    assert!(!FetchCode::Http(503).is_permanent());
}

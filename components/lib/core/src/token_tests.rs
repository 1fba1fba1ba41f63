use super::*;

const NOW: i64 = 1_800_000_000;

fn secret(seed: u8) -> String {
    Sha256::digest([seed])
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect()
}

fn keys() -> TokenKeys {
    TokenKeys::parse(&secret(1), None).unwrap()
}

/// A token of any header and claims, signed with the right key: what an attacker with a signing oracle could make.
fn signed(keys: &TokenKeys, header: &str, claims: &str) -> String {
    let signed = format!(
        "{}.{}",
        URL_SAFE_NO_PAD.encode(header),
        URL_SAFE_NO_PAD.encode(claims)
    );
    let signature = keys
        .current
        .mac
        .clone()
        .chain_update(&signed)
        .finalize()
        .into_bytes();
    format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature))
}

fn header(keys: &TokenKeys) -> String {
    format!(
        r#"{{"alg":"HS256","typ":"trawl+jwt","kid":"{}"}}"#,
        keys.current.id
    )
}

fn claims() -> String {
    format!(
        r#"{{"iss":"trawl","aud":"trawl-api","sub":"7","iat":{NOW},"exp":{}}}"#,
        NOW + 900
    )
}

#[test]
fn what_we_issue_we_accept() {
    let token = keys().issue(7, NOW);
    assert_eq!(
        keys().verify(&token, NOW),
        Ok(Token {
            account: 7,
            issued_s: NOW,
            expires_s: NOW + 900
        })
    );
    assert_eq!(
        keys().verify(&token, NOW + 929),
        Ok(Token {
            account: 7,
            issued_s: NOW,
            expires_s: NOW + 900
        })
    );
    assert_eq!(keys().verify(&token, NOW + 930), Err(TokenError::Expired));
    assert_eq!(keys().verify(&token, NOW - 31), Err(TokenError::Times));
    assert_eq!(
        keys()
            .verify(&signed(&keys(), &header(&keys()), &claims()), NOW)
            .map(|t| t.account),
        Ok(7)
    );
}

#[test]
fn rotation_keeps_the_tokens_of_the_key_before() {
    let rotated = TokenKeys::parse(&secret(2), Some(&secret(1))).unwrap();
    assert!(rotated.verify(&keys().issue(7, NOW), NOW).is_ok());
    assert!(rotated.verify(&rotated.issue(7, NOW), NOW).is_ok());
    assert_eq!(
        keys().verify(&rotated.issue(7, NOW), NOW),
        Err(TokenError::UnknownKey)
    );
}

#[test]
fn forged_headers() {
    let keys = keys();
    let kid = keys.current.id.clone();
    for text in [
        r#"{"alg":"none","typ":"trawl+jwt","kid":"KID"}"#,
        r#"{"alg":"None","typ":"trawl+jwt","kid":"KID"}"#,
        r#"{"alg":"HS512","typ":"trawl+jwt","kid":"KID"}"#,
        r#"{"alg":"RS256","typ":"trawl+jwt","kid":"KID"}"#,
        r#"{"alg":"HS256","typ":"JWT","kid":"KID"}"#,
        r#"{"alg":"HS256","kid":"KID"}"#,
        r#"{"alg":"HS256","typ":"trawl+jwt"}"#,
        r#"{"alg":"HS256","typ":"trawl+jwt","kid":""}"#,
        r#"{"alg":"HS256","typ":"trawl+jwt","kid":"../../dev/null"}"#,
        r#"{"alg":"HS256","typ":"trawl+jwt","kid":7}"#,
        r#"{"alg":["HS256"],"typ":"trawl+jwt","kid":"KID"}"#,
        r#"{"alg":"HS256","typ":"trawl+jwt","kid":"KID","jku":"https://evil.example/k"}"#,
        r#"{"alg":"HS256","typ":"trawl+jwt","kid":"KID","x5u":"https://evil.example/k"}"#,
        r#"{"alg":"HS256","typ":"trawl+jwt","kid":"KID","crit":["exp"]}"#,
        r#"{"alg":"HS256","alg":"none","typ":"trawl+jwt","kid":"KID"}"#,
        "[]",
        "",
    ] {
        let token = signed(&keys, &text.replace("KID", &kid), &claims());
        assert_eq!(keys.verify(&token, NOW), Err(TokenError::Header), "{text}");
    }
    let unknown = signed(
        &keys,
        &header(&keys).replace(&kid, "0011223344556677"),
        &claims(),
    );
    assert_eq!(keys.verify(&unknown, NOW), Err(TokenError::UnknownKey));
}

#[test]
fn forged_claims() {
    let keys = keys();
    let check = |claims: &str, expected: TokenError| {
        assert_eq!(
            keys.verify(&signed(&keys, &header(&keys), claims), NOW),
            Err(expected),
            "{claims}"
        );
    };
    let with = |from: &str, to: &str| claims().replace(from, to);
    check(
        &with(r#""iss":"trawl""#, r#""iss":"other""#),
        TokenError::Foreign,
    );
    check(
        &with(r#""aud":"trawl-api""#, r#""aud":"other""#),
        TokenError::Foreign,
    );
    check(
        &with(r#""aud":"trawl-api""#, r#""aud":["trawl-api"]"#),
        TokenError::Claims,
    );
    check(&with(r#""sub":"7""#, r#""sub":7"#), TokenError::Claims);
    check(&with(r#""sub":"7""#, r#""sub":"-7""#), TokenError::Claims);
    check(&with(r#""sub":"7""#, r#""sub":"07""#), TokenError::Claims);
    check(
        &with(r#""sub":"7""#, r#""sub":"7","sub":"8""#),
        TokenError::Claims,
    );
    check(&with(r#""sub":"7","#, ""), TokenError::Claims);
    check(
        &with(&format!("\"exp\":{}", NOW + 900), "\"exp\":\"9999999999\""),
        TokenError::Claims,
    );
    check(
        &with(&format!("\"exp\":{}", NOW + 900), "\"exp\":1e9"),
        TokenError::Claims,
    );
    check(
        &with(&format!(",\"exp\":{}", NOW + 900), ""),
        TokenError::Claims,
    );
    check(
        &with(&format!("\"exp\":{}", NOW + 900), "\"exp\":null"),
        TokenError::Claims,
    );
    check(&with(&format!("\"iat\":{NOW},"), ""), TokenError::Claims);
    check(
        &with(
            &format!("\"exp\":{}", NOW + 900),
            &format!("\"exp\":{}", NOW + 901),
        ),
        TokenError::Times,
    );
    check(
        &with(&format!("\"iat\":{NOW}"), &format!("\"iat\":{}", NOW + 31)),
        TokenError::Times,
    );
    check(
        &with("}", &format!(",\"nbf\":{}}}", NOW + 60)),
        TokenError::Times,
    );
    check("7", TokenError::Claims);
}

#[test]
fn a_token_ends_after_it_begins() {
    let keys = keys();
    // Both are within the leeway of both times.
    for expires in [NOW, NOW - 1] {
        let turned = claims().replace(
            &format!("\"exp\":{}", NOW + 900),
            &format!("\"exp\":{expires}"),
        );
        let token = signed(&keys, &header(&keys), &turned);
        assert_eq!(keys.verify(&token, NOW), Err(TokenError::Times));
    }
}

#[test]
fn forged_bytes() {
    let keys = keys();
    let token = keys.issue(7, NOW);
    let other = TokenKeys::parse(&secret(9), None).unwrap();
    // Another key under our key id.
    let forged = signed(
        &TokenKeys {
            current: Key {
                id: keys.current.id.clone(),
                mac: other.current.mac,
            },
            previous: None,
        },
        &header(&keys),
        &claims(),
    );
    assert_eq!(keys.verify(&forged, NOW), Err(TokenError::Signature));
    let unsigned = format!("{}.", token.rsplit_once('.').unwrap().0);
    assert_eq!(keys.verify(&unsigned, NOW), Err(TokenError::Signature));
    let short = &token[..token.len() - 3];
    assert_eq!(keys.verify(short, NOW), Err(TokenError::Signature));
    for text in [
        "",
        ".",
        "..",
        "a.b",
        "a.b.c.d",
        "!!.!!.!!",
        &format!("{token}="),
        &format!(" {token}"),
        &format!("{token}.x"),
        &token.replace('.', ".."),
    ] {
        assert!(keys.verify(text, NOW).is_err(), "{text}");
    }
    assert_eq!(
        keys.verify(&"a".repeat(TOKEN_BYTES_MAX + 1), NOW),
        Err(TokenError::TooLong)
    );
}

/// base64url of 32 bytes has two unused bits: exactly one of the four spellings of the last letter is accepted.
#[test]
fn one_spelling_of_a_signature() {
    let keys = keys();
    let token = keys.issue(7, NOW);
    let alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let accepted = alphabet
        .chars()
        .filter(|last| {
            keys.verify(&format!("{}{last}", &token[..token.len() - 1]), NOW)
                .is_ok()
        })
        .count();
    assert_eq!(accepted, 1);
}

#[test]
fn passphrases_are_not_keys() {
    for text in [
        "",
        "secret",
        "correct horse battery staple correct horse battery staple",
        "correcthorsebatterystaplecorrecthorsebatterystaple",
        "CorrectHorseBatteryStapleCorrectHorseBatteryStaple!",
        "CorrectHorseBatteryStapleCorrectHorseBatteryStaplexx",
        "MyVerySecretPassphraseForTheTrawlServiceInProduction",
        "YourSuperSecretKeyGoesHereDoNotForgetToChangeIt1",
        "YourSuperSecretKeyGoesHereDoNotForgetToChangeIt2026",
        "DoNotUseThisKeyInProdAskUsForTheNewOneWeHadSoFar",
        &"0".repeat(64),
        &"ab".repeat(31),
        &"0123456789abcdef".repeat(4),
        &"A".repeat(44),
        &secret(1)[..62],
    ] {
        assert!(TokenKeys::parse(text, None).is_err(), "{text}");
    }
    let bytes: Vec<u8> = Sha256::digest(b"x").to_vec();
    let short = STANDARD.encode(&bytes[1..]);
    assert!(TokenKeys::parse(&short, None).is_err(), "31 random bytes");
    for text in [
        STANDARD.encode(&bytes),
        STANDARD_NO_PAD.encode(&bytes),
        URL_SAFE.encode(&bytes),
        URL_SAFE_NO_PAD.encode(&bytes),
    ] {
        assert!(TokenKeys::parse(&text, None).is_ok(), "{text}");
    }
}

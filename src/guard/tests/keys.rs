//! Files of keys and secrets, good and bad.

use super::*;
use crate::guard::keys::{load_keys, secret_keys};
use crate::guard::remote::check_url;

fn load(text: &str, algorithms: &[Algorithm]) -> Result<usize, String> {
    load_keys(file(text).path(), algorithms).map(|set| set.len())
}

#[test]
fn keys_are_read_from_pem_and_from_a_set() {
    let rsa = rsa_pem(&RSA);
    let ec = pem(&AsDer::<PublicKeyX509Der<'_>>::as_der(P256.public_key()).unwrap());
    let ed = pem(&AsDer::<PublicKeyX509Der<'_>>::as_der(ED25519.public_key()).unwrap());
    use Algorithm::{ES256, ES384, EdDSA, RS256, RS512};
    assert_eq!(load(&rsa, &[RS256]), Ok(1));
    assert_eq!(
        load(
            &format!("# two\n{rsa}\n{ec}{ed}"),
            &[RS256, RS512, ES256, ES384, EdDSA]
        ),
        Ok(4)
    );
    assert_eq!(load(&rsa_jwk("one").to_string(), &[RS256]), Ok(1));
    let set = json!({"keys": [rsa_jwk("a"), rsa_jwk("b"), ed25519_jwk("c")]}).to_string();
    assert_eq!(load(&format!("\n {set}"), &[RS256, EdDSA]), Ok(3));
    let secret = json!({"kty": "oct", "k": URL_SAFE_NO_PAD.encode(SECRET)}).to_string();
    assert_eq!(load(&secret, &[Algorithm::HS256]), Ok(1));
}

#[test]
fn what_is_wrong_with_a_file_is_said() {
    let cases: [(&str, &[Algorithm], &str); 10] = [
        ("", &[Algorithm::RS256], "neither"),
        ("hello", &[Algorithm::RS256], "neither"),
        ("{", &[Algorithm::RS256], "not JSON"),
        ("{}", &[Algorithm::RS256], "no `keys`"),
        ("{\"keys\":[]}", &[Algorithm::RS256], "no key"),
        (&rsa_pem(&RSA), &[Algorithm::ES256], "no key"),
        (&rsa_pem(&RSA), &[Algorithm::HS256], "no key"),
        (
            &rsa_jwk("a").to_string(),
            &[Algorithm::HS256],
            "other algorithms",
        ),
        (
            "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n",
            &[],
            "private key",
        ),
        (
            "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
            &[],
            "certificate",
        ),
    ];
    for (text, algorithms, expected) in cases {
        let error = load(text, algorithms).unwrap_err();
        assert!(error.contains(expected), "{text}: {error}");
    }
    let nowhere = load_keys(
        std::path::Path::new("/nowhere/keys.pem"),
        &[Algorithm::RS256],
    );
    assert!(nowhere.unwrap_err().contains("cannot be read"));
}

#[test]
fn a_secret_is_as_long_as_its_algorithm_demands() {
    use Algorithm::{HS256, HS384, HS512, RS256};
    assert!(secret_keys(&SECRET[..32], &[HS256]).is_ok());
    assert!(secret_keys(&SECRET[..31], &[HS256]).is_err());
    assert!(secret_keys(&SECRET[..47], &[HS256, HS384]).is_err());
    assert!(secret_keys(SECRET, &[HS256, HS384, HS512]).is_ok());
    assert!(secret_keys(SECRET, &[RS256]).is_err());
    assert!(secret_keys(rsa_pem(&RSA).as_bytes(), &[HS256]).is_err());
}

#[test]
fn an_address_of_keys_is_one_of_the_web() {
    assert!(check_url("https://issuer.example/jwks.json").is_ok());
    assert!(check_url("file:///etc/passwd").is_err());
}

//! Names and passwords: who is admitted by them, and what a flood of them costs.

use argon2::{Argon2, Params, PasswordHasher};

use super::*;
use crate::guard::basic::check_hash;

/// A hash that is quick to check.
fn hash(password: &str) -> String {
    let argon2 = Argon2::from(Params::new(8, 1, 1, None).unwrap());
    let hash = argon2.hash_password_with_salt(password.as_bytes(), b"some salt here");
    hash.unwrap().to_string()
}

fn basic(users: &[(&str, &str)]) -> AuthenticatorSpec {
    let users = users.iter().map(|(name, password)| BasicUser {
        name: (*name).to_owned(),
        argon2: hash(password),
    });
    AuthenticatorSpec {
        name: "staff".to_owned(),
        kind: AuthenticatorKind::Basic(BasicSpec {
            realm: "the \"staff\"".to_owned(),
            users: users.collect(),
        }),
        pass_credential: false,
    }
}

async fn login(guard: &Guard, credentials: &str) -> Result<String, Denial> {
    let mut exchange = request(&format!("GET /\nauthorization: Basic {credentials}"));
    match admit(guard, &mut exchange).await {
        Ok(admission) => Ok(admission.caller.unwrap().name.to_string()),
        Err(Refusal::Unauthenticated { denial, .. }) => Err(denial),
        Err(other) => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_name_with_its_password_is_admitted() {
    let guard = guard(&[basic(&[("alice", "open: sesame"), ("bob", "")])]);
    let encode = |text: &str| STANDARD.encode(text);
    for _ in 0..2 {
        assert_eq!(
            login(&guard, &encode("alice:open: sesame")).await,
            Ok("alice".to_owned())
        );
        assert_eq!(login(&guard, &encode("bob:")).await, Ok("bob".to_owned()));
        for wrong in [
            "alice:open",
            "alice:",
            "bob:x",
            "carol:open: sesame",
            ":",
            "ALICE:open: sesame",
        ] {
            assert_eq!(
                login(&guard, &encode(wrong)).await,
                Err(Denial::Unknown),
                "{wrong}"
            );
        }
    }
    let unpadded = encode("alice:open: sesame")
        .trim_end_matches('=')
        .to_owned();
    assert_eq!(login(&guard, &unpadded).await, Ok("alice".to_owned()));
    for broken in [
        "",
        "%%%",
        "YWxpY2U=",
        "/////w==",
        &STANDARD.encode([0xff, b':', b'a']),
    ] {
        assert_eq!(
            login(&guard, broken).await,
            Err(Denial::Malformed),
            "{broken}"
        );
    }
    let long = STANDARD.encode("a".repeat(9000));
    assert_eq!(login(&guard, &long).await, Err(Denial::TooLarge));
}

#[tokio::test]
async fn a_password_that_was_changed_is_not_remembered() {
    let before = [basic(&[("alice", "old")])];
    let old = build(&before, None);
    let credentials = STANDARD.encode("alice:old");
    assert!(login(&guard_of(&old, 1), &credentials).await.is_ok());
    let after = [basic(&[("alice", "new")])];
    let new = build(&after, Some(&old));
    assert_eq!(
        login(&guard_of(&new, 1), &credentials).await,
        Err(Denial::Unknown)
    );
}

#[tokio::test]
async fn a_flood_of_passwords_is_turned_away_beyond_a_bound() {
    let guard = Arc::new(guard(&[basic(&[("alice", "right")])]));
    let mut flood = JoinSet::new();
    for number in 0..200 {
        let guard = Arc::clone(&guard);
        let credentials = STANDARD.encode(format!("alice:{number}"));
        let mut exchange = request(&format!("GET /\nauthorization: Basic {credentials}"));
        flood.spawn(async move { admit(&guard, &mut exchange).await.unwrap_err() });
    }
    let mut busy = 0;
    while let Some(refusal) = flood.join_next().await {
        match refusal.unwrap() {
            Refusal::PasswordsBusy { .. } => busy += 1,
            Refusal::Unauthenticated { denial, .. } => assert_eq!(denial, Denial::Unknown),
            other => panic!("{other:?}"),
        }
    }
    assert!(busy >= 100, "{busy} turned away");
    assert!(login(&guard, &STANDARD.encode("alice:right")).await.is_ok());
}

#[test]
fn a_hash_is_one_of_argon2_within_bounds() {
    assert_eq!(check_hash(&hash("x")), Ok(()));
    for bad in [
        "",
        "secret",
        "$2b$12$abcdefghijklmnopqrstuv",
        "$argon2id$v=19$m=65536,t=2,p=1$c29tZXNhbHQ",
        "$argon2id$v=19$m=4294967295,t=2,p=1$c29tZXNhbHQ$RdescudvJCsgt3ub+b4dWRWJTmaQRZ8nVDkNWYwxJr0",
        "$pbkdf2$i=1000$c29tZXNhbHQ$RdescudvJCsgt3ub+b4dWRWJTmaQRZ8nVDkNWYwxJr0",
    ] {
        assert!(check_hash(bad).is_err(), "{bad}");
    }
}

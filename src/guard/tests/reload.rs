//! What lives on when the file is read again.

use super::*;

#[tokio::test]
async fn a_published_set_is_not_fetched_again_for_a_reload() {
    let issuer = Issuer::start().await;
    issuer.publishes(&[rsa_jwk("one")]);
    let mut spec = jwt_spec(&[Algorithm::RS256], issuer.jwks());
    let old = build(&[jwt(spec.clone())], None);
    let token = rs256("one", &claims());
    assert!(name(&guard_of(&old, 1), &token).await.is_ok());
    // Another audience is another rule with the same keys.
    spec.audience = vec!["other".to_owned()];
    let two = [jwt(spec.clone()), jwt(spec.clone())];
    let new = build(&two, Some(&old));
    drop(old);
    assert_eq!(
        name(&guard_of(&new, 2), &token).await,
        Err(Denial::Audience)
    );
    assert_eq!(issuer.asked(), 1);
    assert_eq!(new.key_states().len(), 1);
    // Other algorithms are other keys.
    spec.audience = vec!["shop".to_owned()];
    spec.algorithms = vec![Algorithm::RS256, Algorithm::ES256];
    let third = build(&[jwt(spec)], Some(&new));
    assert!(name(&guard_of(&third, 1), &token).await.is_ok());
    assert_eq!(issuer.asked(), 2);
}

#[tokio::test]
async fn a_file_of_keys_is_read_again() {
    let keys = file(&json!({"keys": [rsa_jwk("one")]}).to_string());
    let source = KeySource::File(keys.path().to_owned());
    let specs = [jwt(jwt_spec(&[Algorithm::RS256], source))];
    let old = build(&specs, None);
    let token = rs256("one", &claims());
    assert!(name(&guard_of(&old, 1), &token).await.is_ok());
    let same = build(&specs, Some(&old));
    assert!(Arc::ptr_eq(old.get(0).unwrap(), same.get(0).unwrap()));
    std::fs::write(keys.path(), json!({"keys": [rsa_jwk("two")]}).to_string()).unwrap();
    let new = build(&specs, Some(&same));
    assert_eq!(
        name(&guard_of(&new, 1), &token).await,
        Err(Denial::UnknownKey)
    );
    assert!(
        name(&guard_of(&new, 1), &rs256("two", &claims()))
            .await
            .is_ok()
    );
    assert!(
        name(&guard_of(&old, 1), &token).await.is_ok(),
        "requests in flight"
    );
}

#[tokio::test]
async fn fetching_ends_with_the_last_authenticator() {
    let issuer = Issuer::start().await;
    let built = build(&[jwt(jwt_spec(&[Algorithm::RS256], issuer.jwks()))], None);
    let guard = guard_of(&built, 1);
    let alive = Handle::current().metrics().num_alive_tasks();
    drop(built);
    tokio::task::yield_now().await;
    assert_eq!(Handle::current().metrics().num_alive_tasks(), alive);
    drop(guard);
    for _ in 0..100 {
        tokio::task::yield_now().await;
    }
    assert!(Handle::current().metrics().num_alive_tasks() < alive);
}

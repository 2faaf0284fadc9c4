//! What the demo's services know: a few customers, their orders, and offers for them.

/// `/v1/users/{id}`
pub(super) fn users(path: &str) -> Option<String> {
    let body = match path.strip_prefix("/v1/users/")? {
        "ada" => {
            r#"{"id":"ada","name":"Ada Lovelace","segment":"pioneers","newsletter":true,"points":12345678901234567890}"#
        }
        "grace" => {
            r#"{"id":"grace","name":"Grace Hopper","segment":"admirals","newsletter":false,"points":7}"#
        }
        _ => return None,
    };
    Some(body.to_owned())
}

/// `/v1/orders?user={id}`
pub(super) fn orders(path: &str, query: &str) -> Option<String> {
    if path != "/v1/orders" {
        return None;
    }
    let user = query
        .split('&')
        .find_map(|pair| pair.strip_prefix("user="))?;
    let body = match user {
        "ada" => {
            r#"[{"id":"A-1","item":"punched cards","total":0.10},{"id":"A-2","item":"brass gears","total":1e2}]"#
        }
        _ => "[]",
    };
    Some(body.to_owned())
}

/// `/v1/segments/{segment}/offers`, and `/v1/offers/today`
pub(super) fn offers(path: &str) -> Option<String> {
    if path == "/v1/offers/today" {
        return Some(r#"{"offer":"Tea, half price","until":"17:00"}"#.to_owned());
    }
    let segment = path
        .strip_prefix("/v1/segments/")?
        .strip_suffix("/offers")?;
    let body = match segment {
        "pioneers" => r#"[{"offer":"Difference engine, slightly used","price":17500.00}]"#,
        _ => "[]",
    };
    Some(body.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_answer_is_json_and_the_unknown_has_none() {
        let answers = [
            users("/v1/users/ada"),
            users("/v1/users/grace"),
            orders("/v1/orders", "user=ada&limit=20"),
            orders("/v1/orders", "limit=20&user=grace"),
            offers("/v1/segments/pioneers/offers"),
            offers("/v1/segments/others/offers"),
            offers("/v1/offers/today"),
        ];
        for answer in answers {
            let answer = answer.unwrap();
            let parsed: Result<serde_json::Value, _> = serde_json::from_str(&answer);
            assert!(parsed.is_ok(), "{answer}");
        }
        assert_eq!(users("/v1/users/nobody"), None);
        assert_eq!(orders("/v1/orders", ""), None);
        assert_eq!(offers("/v1/segments"), None);
    }
}

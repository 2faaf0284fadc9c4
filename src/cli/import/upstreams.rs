//! Hosts of services as upstreams, each list of hosts once.

use crate::cli::import::cel;
use crate::cli::import::page::{Block, excerpt, list};

/// The upstreams that calls turned out to need, in the order in which they were found.
#[derive(Debug, Default)]
pub(super) struct Upstreams {
    found: Vec<Upstream>,
}

#[derive(Debug)]
struct Upstream {
    name: String,
    endpoints: Vec<String>,
    notes: Vec<String>,
}

impl Upstreams {
    /// The upstream of these hosts, and the path that they have in front.
    pub(super) fn find(&mut self, hosts: &[String]) -> Result<(String, String), String> {
        let mut endpoints: Vec<String> = Vec::new();
        let mut bases: Vec<&str> = Vec::new();
        for host in hosts {
            let (scheme, rest) = match host.split_once("://") {
                Some(("http", rest)) => ("http", rest),
                Some(("https", rest)) => ("https", rest),
                Some((other, _)) => return Err(format!("a host speaks {}", excerpt(other))),
                None => ("http", host.as_str()),
            };
            let at = rest.find('/').unwrap_or(rest.len());
            let (authority, base) = rest.split_at_checked(at).unwrap_or_default();
            let endpoint = format!("{scheme}://{authority}");
            if !endpoints.contains(&endpoint) {
                endpoints.push(endpoint);
            }
            bases.push(base.trim_end_matches('/'));
        }
        let Some(&base) = bases.first() else {
            return Err("it has no host".to_owned());
        };
        if bases.iter().any(|other| *other != base) {
            return Err("its hosts have different paths".to_owned());
        }
        Ok((self.name(endpoints), base.to_owned()))
    }

    fn name(&mut self, mut endpoints: Vec<String>) -> String {
        let secure = |endpoint: &String| endpoint.starts_with("https:");
        let first = endpoints.first().is_some_and(secure);
        let count = endpoints.len();
        endpoints.retain(|endpoint| secure(endpoint) == first);
        let mut notes = Vec::new();
        if endpoints.len() < count {
            notes.push(
                "an upstream speaks either http or https: the hosts of the other kind are gone"
                    .to_owned(),
            );
        }
        if let Some(known) = self.found.iter().find(|it| it.endpoints == endpoints) {
            return known.name.clone();
        }
        let wanted = name_of(endpoints.first().map_or("", String::as_str));
        let is_taken = |name: &str| self.found.iter().any(|it| it.name == name);
        let name = cel::unused(&wanted, '-', is_taken);
        self.found.push(Upstream {
            name: name.clone(),
            endpoints,
            notes,
        });
        name
    }

    pub(super) fn blocks(self) -> Vec<Block> {
        let blocks = self.found.into_iter().map(|upstream| {
            let mut block = Block::new(format!("host {}", upstream.endpoints.join(", ")));
            upstream.notes.into_iter().for_each(|note| block.note(note));
            block.line(format!("[upstreams.{}]", upstream.name));
            block.line(format!("endpoints = {}", list(&upstream.endpoints)));
            block
        });
        blocks.collect()
    }
}

/// `https://api.example.com:8443` is called `api-example-com-8443`.
fn name_of(endpoint: &str) -> String {
    let host = endpoint.split("://").nth(1).unwrap_or_default();
    let sign = |c: char| {
        if c.is_ascii_alphanumeric() || c == '_' {
            c
        } else {
            '-'
        }
    };
    let name: String = host.chars().take(48).map(sign).collect();
    let name = name.trim_matches('-').to_ascii_lowercase();
    if name.is_empty() {
        "upstream".to_owned()
    } else {
        name
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_hosts_are_one_upstream_and_paths_are_kept_apart() {
        let mut upstreams = Upstreams::default();
        let mut find = |hosts: &[&str]| {
            let hosts: Vec<String> = hosts.iter().map(|&host| host.to_owned()).collect();
            upstreams.find(&hosts)
        };
        let found = |name: &str, base: &str| Ok((name.to_owned(), base.to_owned()));
        assert_eq!(
            find(&["https://api.example.com/v1/"]),
            found("api-example-com", "/v1")
        );
        assert_eq!(
            find(&["https://api.example.com"]),
            found("api-example-com", "")
        );
        assert_eq!(
            find(&["http://api.example.com"]),
            found("api-example-com-2", "")
        );
        assert_eq!(find(&["a:81", "http://b"]), found("a-81", ""));
        assert!(find(&["amqp://queue"]).is_err());
        assert!(find(&["http://a/x", "http://a/y"]).is_err());
        assert!(find(&[]).is_err());
        let texts: Vec<String> = upstreams
            .blocks()
            .iter()
            .map(|block| format!("{block:?}"))
            .collect();
        assert_eq!(texts.len(), 3);
    }
}

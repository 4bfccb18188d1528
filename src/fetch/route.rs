//! The way to a server: straight, or through a proxy.

use std::collections::BTreeMap;

use reqwest::{NoProxy, Proxy, Url};

use super::Error;

/// Hosts that no proxy could reach for us.
const LOOPBACK: &str = "localhost,127.0.0.0/8,::1";

/// Which proxies to use. None is a straight way.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Proxies {
    /// For `http` addresses.
    pub http: Option<String>,
    /// For `https` addresses.
    pub https: Option<String>,
    /// Hosts that have a proxy of their own, or none.
    pub hosts: BTreeMap<String, Option<String>>,
}

impl Proxies {
    /// One for everything.
    pub fn all(address: &str) -> Self {
        Self { http: Some(address.to_owned()), https: Some(address.to_owned()), hosts: BTreeMap::new() }
    }
}

/// The proxies to use: the `explicit` ones if they are given, else what `http_proxy`, `https_proxy` and `all_proxy` say (in either case, as curl reads
/// them). `no_proxy` holds for both, and loopback addresses never go through a proxy.
pub(super) fn proxies(explicit: Option<&Proxies>, env: impl Fn(&str) -> Option<String>) -> Result<Vec<Proxy>, Error> {
    let read = |upper: &str| env(upper).or_else(|| env(&upper.to_ascii_lowercase())).filter(|value| !value.trim().is_empty());
    let mut direct = read("NO_PROXY").map_or_else(|| LOOPBACK.to_owned(), |hosts| format!("{hosts},{LOOPBACK}"));
    for (host, _) in explicit.iter().flat_map(|explicit| &explicit.hosts).filter(|(_, proxy)| proxy.is_none()) {
        direct = format!("{direct},{host}");
    }
    let make = |kind: fn(&str) -> reqwest::Result<Proxy>, address: &str| {
        kind(address)
            .map(|proxy| proxy.no_proxy(NoProxy::from_string(&direct)))
            .map_err(|source| Error::Proxy { proxy: without_credentials(address), source: source.without_url() })
    };
    let mut proxies = Vec::new();
    if let Some(Proxies { http, https, hosts }) = explicit {
        // The first that fits is taken.
        for (host, address) in hosts.iter().filter_map(|(host, address)| Some((host, address.as_ref()?))) {
            make(|address| Proxy::all(address), address)?;
            let (host, address) = (host.clone(), address.clone());
            proxies.push(Proxy::custom(move |url| (url.host_str() == Some(&host)).then(|| address.clone())));
        }
        for (address, kind) in
            [(http, (|address| Proxy::http(address)) as fn(&str) -> reqwest::Result<Proxy>), (https, |address| Proxy::https(address))]
        {
            if let Some(address) = address {
                proxies.push(make(kind, address)?);
            }
        }
        return Ok(proxies);
    }
    for (variable, kind) in [
        ("HTTP_PROXY", (|address| Proxy::http(address)) as fn(&str) -> reqwest::Result<Proxy>),
        ("HTTPS_PROXY", |address| Proxy::https(address)),
        ("ALL_PROXY", |address| Proxy::all(address)),
    ] {
        if let Some(address) = read(variable) {
            proxies.push(make(kind, &address)?);
        }
    }
    Ok(proxies)
}

/// An address as it may be shown, though it may be none.
pub(crate) fn without_credentials(address: &str) -> String {
    match Url::parse(address) {
        Ok(url) if url.has_host() => shown(&url),
        // “user:password@host:port” parses as a scheme and a path, or not at all.
        _ => address.rsplit_once('@').map_or(address, |(_, host)| host).to_owned(),
    }
}

/// An address as it may be shown.
pub(super) fn shown(url: &Url) -> String {
    let mut url = url.clone();
    // Both fail only for addresses that cannot have credentials.
    let _ = url.set_username("");
    let _ = url.set_password(None);
    url.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_explicit_proxy_wins_over_the_environment() {
        let env = |name: &str| (name == "http_proxy").then(|| "http://env:1".to_owned());
        assert_eq!(proxies(None, env).unwrap().len(), 1);
        let explicit = proxies(Some(&Proxies::all("http://apt:3142")), env).unwrap();
        assert_eq!(explicit.len(), 2);
        assert!(explicit.iter().all(|proxy| format!("{proxy:?}").contains("apt")), "{explicit:?}");
        let straight = Proxies { https: None, hosts: [("mirror".to_owned(), None)].into(), ..Proxies::all("http://apt:3142") };
        let straight = proxies(Some(&straight), env).unwrap();
        assert_eq!(straight.len(), 1, "https goes straight");
        assert!(format!("{straight:?}").contains("Http(") && format!("{straight:?}").contains(",mirror"), "{straight:?}");
        assert!(proxies(None, |_| Some(" ".to_owned())).unwrap().is_empty());
    }

    #[test]
    fn credentials_are_not_shown() {
        for address in ["http://user:secret@host:1/", "http://user:also@secret@host/", "user:secret@host:1", "http://user:secret@[bad"] {
            assert!(!without_credentials(address).contains("secret"), "{}", without_credentials(address));
        }
        let error = proxies(Some(&Proxies::all("http://user:secret@[bad")), |_| None).unwrap_err();
        assert!(!format!("{error} {error:?}").contains("secret"), "{error:?}");
    }
}

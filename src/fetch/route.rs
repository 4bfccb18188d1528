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

    /// What `http_proxy`, `https_proxy` and, for what these leave open, `all_proxy` say.
    pub(crate) fn of_environment(env: impl Fn(&str) -> Option<String>) -> Self {
        let read = |variable| variable_of(&env, variable).or_else(|| variable_of(&env, "ALL_PROXY"));
        Self { http: read("HTTP_PROXY"), https: read("HTTPS_PROXY"), hosts: BTreeMap::new() }
    }
}

/// The proxies to use: the `explicit` ones if they are given, else those of the environment. Its `no_proxy` holds for both, and loopback addresses never go
/// through a proxy.
pub(super) fn proxies(explicit: Option<&Proxies>, env: impl Fn(&str) -> Option<String>) -> Result<Vec<Proxy>, Error> {
    let Proxies { http, https, hosts } = explicit.cloned().unwrap_or_else(|| Proxies::of_environment(&env));
    let mut direct = variable_of(&env, "NO_PROXY").map_or_else(|| LOOPBACK.to_owned(), |hosts| format!("{hosts},{LOOPBACK}"));
    for (host, _) in hosts.iter().filter(|(_, proxy)| proxy.is_none()) {
        direct = format!("{direct},{host}");
    }
    let make = |kind: fn(&str) -> reqwest::Result<Proxy>, address: &str| {
        let refused = |source| Error::Proxy { proxy: without_credentials(address), source };
        if !speaks_http(address) {
            return Err(refused(None));
        }
        let proxy = kind(address).map_err(|source| refused(Some(source.without_url())))?;
        Ok(proxy.no_proxy(NoProxy::from_string(&direct)))
    };
    let mut proxies = Vec::new();
    // The first that fits is taken.
    for (host, address) in hosts.into_iter().filter_map(|(host, address)| Some((host, address?))) {
        make(|address| Proxy::all(address), &address)?;
        proxies.push(Proxy::custom(move |url| (url.host_str() == Some(&host)).then(|| address.clone())));
    }
    if let Some(address) = http {
        proxies.push(make(|address| Proxy::http(address), &address)?);
    }
    if let Some(address) = https {
        proxies.push(make(|address| Proxy::https(address), &address)?);
    }
    Ok(proxies)
}

/// A variable of the environment, by its name in either case, as curl reads them.
fn variable_of(env: impl Fn(&str) -> Option<String>, upper: &str) -> Option<String> {
    env(upper).or_else(|| env(&upper.to_ascii_lowercase())).filter(|value| !value.trim().is_empty())
}

/// Whether a proxy is spoken to over `http`, which is what an address without a scheme means, or `https`. The client would take a SOCKS proxy for one.
fn speaks_http(address: &str) -> bool {
    address.split_once("://").is_none_or(|(scheme, _)| ["http", "https"].iter().any(|known| scheme.trim().eq_ignore_ascii_case(known)))
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
        let nothing = proxies(Some(&Proxies::default()), env).unwrap();
        assert!(nothing.is_empty(), "a straight way: {nothing:?}");
    }

    #[test]
    fn the_general_variable_holds_where_there_is_no_other() {
        let env = |name: &str| ["http_proxy", "all_proxy"].contains(&name).then(|| format!("http://{name}:1"));
        let environment = Proxies::of_environment(env);
        assert_eq!((environment.http.as_deref(), environment.https.as_deref()), (Some("http://http_proxy:1"), Some("http://all_proxy:1")));
    }

    #[test]
    fn a_proxy_that_does_not_speak_http_is_refused() {
        let refused = |explicit: Option<&Proxies>, env: &dyn Fn(&str) -> Option<String>| {
            let error = proxies(explicit, env).unwrap_err();
            assert!(error.hint().unwrap().starts_with("it looks like http://host:3128"), "{error:?}");
            error.to_string()
        };
        let socks = "socks5h://user:secret@host:1080";
        for variable in ["ALL_PROXY", "all_proxy", "http_proxy", "HTTPS_PROXY"] {
            let error = refused(None, &|name| (name == variable).then(|| socks.to_owned()));
            assert_eq!(error, "“socks5h://host:1080” is not the address of a proxy", "{variable}");
        }
        refused(Some(&Proxies::all(socks)), &|_| None);
        refused(Some(&Proxies { hosts: [("mirror".to_owned(), Some(socks.to_owned()))].into(), ..Proxies::default() }), &|_| None);
        for address in ["http://host:1", "HTTPS://host", "host:1", "user:secret@host:1"] {
            // One for everything else is not asked where both have their own.
            let env = |name: &str| Some(if name == "ALL_PROXY" { socks } else { address }.to_owned());
            assert_eq!(proxies(None, env).unwrap().len(), 2, "{address}");
        }
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

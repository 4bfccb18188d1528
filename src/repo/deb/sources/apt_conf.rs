//! Apt's configuration, as far as it says how servers are reached: `Acquire::http::Proxy` (`apt.conf(5)`, `apt-transport-http(1)`).

use std::collections::BTreeMap;
use std::path::Path;

use super::{Fault, SourcesError, contents, files};
use crate::fetch::Proxies;

/// How deep scopes may be nested.
const DEPTH_LIMIT: usize = 32;

/// The proxies of the host whose file system is at `root`: `apt.conf.d` by name, then `apt.conf`, and the last word counts.
/// As apt does it, `https` takes the proxy for `http` where it has no setting of its own, and where there is no setting the `environment` holds.
///
/// # Errors
/// Files that cannot be read, and configuration that apt would not understand either.
pub fn proxies(root: &Path, environment: Proxies) -> Result<Proxies, SourcesError> {
    let mut settings = BTreeMap::new();
    let parts = files(&root.join("etc/apt/apt.conf.d"), &["", "conf"])?;
    for path in parts.into_iter().chain([root.join("etc/apt/apt.conf")]) {
        if let Some(text) = contents(&path)? {
            read(&text, &mut settings).map_err(|fault| fault.at(&path))?;
        }
    }
    // An empty value says nothing.
    settings.retain(|_, value: &mut String| !value.is_empty());
    // “DIRECT” switches a proxy off.
    let usable = |value: &String| Some(value.clone()).filter(|value| !value.eq_ignore_ascii_case("DIRECT") && value != "false");
    let of_http = settings.get("acquire::http::proxy");
    let http = of_http.map_or(environment.http, usable);
    let https = settings.get("acquire::https::proxy").or(of_http).map_or(environment.https, usable);
    let of_host = |(name, value): (&String, &String)| {
        let host = name.strip_prefix("acquire::http::proxy::").or_else(|| name.strip_prefix("acquire::https::proxy::"))?;
        Some((host.to_owned(), usable(value)))
    };
    Ok(Proxies { http, https, hosts: settings.iter().filter_map(of_host).collect() })
}

/// Adds the settings of one file, with their whole names in lower case. Lists (`name { "a"; "b"; }`) are not kept.
fn read(text: &str, settings: &mut BTreeMap<String, String>) -> Result<(), Fault> {
    let mut scopes: Vec<String> = Vec::new();
    let mut words: Vec<Token> = Vec::new();
    let mut tokens = Tokens { text, at: 0, line: 1 };
    while let Some(token) = tokens.next()? {
        match token {
            Token::Open => {
                let [Token::Word(name)] = words.as_slice() else { return Err(Fault::new(tokens.line, "there is no name before {")) };
                scopes.push(scoped(&scopes, name));
                words.clear();
                if scopes.len() > DEPTH_LIMIT {
                    return Err(Fault::new(tokens.line, "scopes are nested too deep"));
                }
            }
            Token::Close => {
                words.clear();
                scopes.pop().ok_or_else(|| Fault::new(tokens.line, "there is no { for this }"))?;
            }
            Token::End => {
                match words.as_slice() {
                    [Token::Word(clear), Token::Word(name)] if clear == "#clear" => {
                        let name = scoped(&scopes, name);
                        settings.retain(|setting, _| *setting != name && !setting.starts_with(&format!("{name}::")));
                    }
                    [Token::Word(name), Token::Word(value) | Token::Text(value)] => {
                        settings.insert(scoped(&scopes, name), value.clone());
                    }
                    // List entries, and directives that are not about servers.
                    _ => {}
                }
                words.clear();
            }
            word => words.push(word),
        }
    }
    if scopes.is_empty() { Ok(()) } else { Err(Fault::new(tokens.line, "a { is not closed")) }
}

fn scoped(scopes: &[String], name: &str) -> String {
    let name = name.to_ascii_lowercase();
    scopes.last().map_or_else(|| name.clone(), |scope| format!("{scope}::{name}"))
}

#[derive(Debug, PartialEq, Eq)]
enum Token {
    Word(String),
    /// In quotation marks.
    Text(String),
    Open,
    Close,
    End,
}

struct Tokens<'a> {
    text: &'a str,
    at: usize,
    line: usize,
}

impl Tokens<'_> {
    fn next(&mut self) -> Result<Option<Token>, Fault> {
        loop {
            let rest = &self.text[self.at..];
            let Some(first) = rest.chars().next() else { return Ok(None) };
            let comment = rest.starts_with("//") || (first == '#' && !rest.starts_with("#clear") && !rest.starts_with("#include"));
            if comment {
                self.skip(rest.find('\n').unwrap_or(rest.len()));
            } else if rest.starts_with("/*") {
                let end = rest.find("*/").ok_or_else(|| Fault::new(self.line, "a comment is not closed"))?;
                self.skip(end + 2);
            } else if first.is_whitespace() {
                self.skip(first.len_utf8());
            } else {
                return self.token(first).map(Some);
            }
        }
    }

    fn token(&mut self, first: char) -> Result<Token, Fault> {
        let rest = &self.text[self.at..];
        let single = match first {
            '{' => Some(Token::Open),
            '}' => Some(Token::Close),
            ';' => Some(Token::End),
            _ => None,
        };
        if let Some(token) = single {
            self.skip(1);
            return Ok(token);
        }
        if let Some(text) = rest.strip_prefix('"') {
            let length = text.find('"').ok_or_else(|| Fault::new(self.line, "a quotation mark is not closed"))?;
            let text = text[..length].to_owned();
            self.skip(length + 2);
            return Ok(Token::Text(text));
        }
        let length = rest.find(|letter: char| letter.is_whitespace() || matches!(letter, '{' | '}' | ';' | '"')).unwrap_or(rest.len());
        let word = rest[..length].to_owned();
        self.skip(length);
        Ok(Token::Word(word))
    }

    fn skip(&mut self, length: usize) {
        self.line += self.text[self.at..self.at + length].matches('\n').count();
        self.at += length;
    }
}

//! The one-line format: `deb [signed-by=/a/keyring.gpg arch=amd64] http://… bookworm main` (`sources.list(5)`).

use super::{AptSource, Fault, normal_uri, signed_by};

/// The enabled sources of binary packages in a `.list` file.
pub(super) fn parse(text: &str, path: &str) -> Result<Vec<AptSource>, Fault> {
    let mut sources = Vec::new();
    for (number, line) in (1..).zip(text.lines()) {
        let line = line.split('#').next().unwrap_or_default().trim();
        let Some((kind, rest)) = line.split_once([' ', '\t']) else {
            if line.is_empty() {
                continue;
            }
            return Err(Fault::new(number, format!("“{line}” is no source")));
        };
        match kind {
            "deb" => sources.push(AptSource { origin: format!("{path}:{number}"), ..source(rest.trim(), number)? }),
            "deb-src" => {}
            other => return Err(Fault::new(number, format!("“{other}” is no type of a source: deb and deb-src are"))),
        }
    }
    Ok(sources)
}

fn source(text: &str, line: usize) -> Result<AptSource, Fault> {
    let mut source = AptSource::default();
    let mut rest = text;
    if let Some(options) = text.strip_prefix('[') {
        let (inside, after) = options.split_once(']').ok_or_else(|| Fault::new(line, "the options have no closing bracket"))?;
        rest = after;
        for option in inside.split_ascii_whitespace() {
            let (name, value) = option.split_once('=').ok_or_else(|| Fault::new(line, format!("“{option}” is no option (name=value)")))?;
            match name.to_ascii_lowercase().as_str() {
                "arch" | "arch+" => source.architectures.extend(value.split(',').filter(|arch| !arch.is_empty()).map(str::to_owned)),
                "signed-by" => source.signed_by = signed_by(value),
                _ => {}
            }
        }
    }
    let mut words = rest.split_ascii_whitespace().map(|word| word.trim_matches('"'));
    let uri = words.next().filter(|uri| uri.contains(':')).ok_or_else(|| Fault::new(line, "there is no address"))?;
    let suite = words.next().filter(|suite| !suite.is_empty()).ok_or_else(|| Fault::new(line, "there is no suite"))?;
    source.uris.push(normal_uri(uri));
    source.suites.push(suite.to_owned());
    source.components.extend(words.map(str::to_owned));
    if source.components.is_empty() != suite.ends_with('/') {
        return Err(Fault::new(line, "a suite needs components, and a path that ends with / has none"));
    }
    Ok(source)
}

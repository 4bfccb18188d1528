//! Addresses of archives as specs and configurations write them.

use super::Field;

/// The address of an archive: `http`, `https` or `file`, without a slash at the end, and without a user, a query or a fragment.
pub fn web_address(field: &Field<'_>) -> Option<String> {
    let text = field.secret()?.value;
    match check(&text) {
        Ok(address) => Some(address),
        Err(Problem::Credentials) => {
            field.error_with_hint("has a user or password in it, which would end up in records and logs", "leave it out");
            None
        }
        Err(Problem::Shape) => {
            field.error_with_hint("is not the address of an archive", "it looks like https://host/path, or file:///path");
            None
        }
    }
}

#[derive(Debug, PartialEq, Eq)]
enum Problem {
    Credentials,
    Shape,
}

fn check(text: &str) -> Result<String, Problem> {
    let (scheme, rest) = text.split_once("://").ok_or(Problem::Shape)?;
    let (host, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
    if host.contains('@') {
        return Err(Problem::Credentials);
    }
    let host_holds = match scheme {
        "http" | "https" => !host.is_empty() && host.bytes().all(|byte| byte.is_ascii_alphanumeric() || b".-_:[]".contains(&byte)),
        "file" => host.is_empty() && path.len() > 1,
        _ => false,
    };
    let graphic = path.bytes().all(|byte| byte.is_ascii_graphic() && !b"?#\\\"<>".contains(&byte));
    let path = path.trim_end_matches('/');
    let steps = path.split('/').skip(1).all(|step| !matches!(step, "" | "." | ".."));
    if !host_holds || !graphic || !steps || text.len() > 1024 {
        return Err(Problem::Shape);
    }
    Ok(format!("{scheme}://{host}{path}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_told_from_other_texts() {
        for (text, expected) in [
            ("http://mirror.example/debian/", "http://mirror.example/debian"),
            ("https://[::1]:8080", "https://[::1]:8080"),
            ("file:///srv/repo", "file:///srv/repo"),
            ("http://h/~me/a@b", "http://h/~me/a@b"),
        ] {
            assert_eq!(check(text).as_deref(), Ok(expected));
        }
        for text in ["", "debian", "ftp://h/d", "http://", "file://srv", "file:///", "http://h/a b", "http://h/?q", "http://h/../x", "http://h//x"] {
            assert_eq!(check(text), Err(Problem::Shape), "{text}");
        }
        assert_eq!(check("https://me:secret@h/d"), Err(Problem::Credentials));
    }
}

//! Addresses of archives as specs and configurations write them.

use super::Field;

/// A text that is not the address of an archive. Reads after the name of what it was written for; the text itself is not in it, as it may be secret.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum AddressError {
    /// A user or a password.
    #[error("has a user or password in it, which would end up in records and logs")]
    Credentials,
    /// Something else.
    #[error("is not the address of an archive")]
    Shape,
}

impl AddressError {
    /// The way out.
    pub fn hint(self) -> &'static str {
        match self {
            Self::Credentials => "leave it out; what servers want to know is read from /etc/apt/auth.conf, /etc/apt/auth.conf.d and ~/.netrc",
            Self::Shape => "it looks like https://host/path, or file:///path",
        }
    }
}

/// The address of an archive: as [`archive_address`].
pub fn web_address(field: &Field<'_>) -> Option<String> {
    let text = field.secret()?.value;
    archive_address(&text).map_err(|error| field.error_with_hint(&error.to_string(), error.hint())).ok()
}

/// The address of an archive: `http`, `https` or `file`, without a slash at the end, and without a user, a query or a fragment.
///
/// # Errors
/// Any other text.
pub fn archive_address(text: &str) -> Result<String, AddressError> {
    let (scheme, rest) = text.split_once("://").ok_or(AddressError::Shape)?;
    let (host, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
    if host.contains('@') {
        return Err(AddressError::Credentials);
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
        return Err(AddressError::Shape);
    }
    Ok(format!("{scheme}://{host}{path}"))
}

/// The address of a file that is asked for as it is: as [`archive_address`], with a query if there is one.
pub fn file_address(field: &Field<'_>) -> Option<String> {
    let text = field.secret()?.value;
    let (path, query) = text.split_once('?').map_or((&text[..], None), |(path, query)| (path, Some(query)));
    let is_plain = |query: &str| query.len() <= 1024 && query.bytes().all(|byte| byte.is_ascii_graphic() && !b"?#\\\"<>$".contains(&byte));
    let address = match query {
        Some(query) if !is_plain(query) => Err(AddressError::Shape),
        _ => archive_address(path),
    };
    let address = address.map_err(|error| field.error_with_hint(&error.to_string(), error.hint())).ok()?;
    Some(query.map_or(address.clone(), |query| format!("{address}?{query}")))
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
            assert_eq!(archive_address(text).as_deref(), Ok(expected));
        }
        for text in ["", "debian", "ftp://h/d", "http://", "file://srv", "file:///", "http://h/a b", "http://h/?q", "http://h/../x", "http://h//x"] {
            assert_eq!(archive_address(text), Err(AddressError::Shape), "{text}");
        }
        assert_eq!(archive_address("https://me:secret@h/d"), Err(AddressError::Credentials));
    }
}

//! The `control` stanza of a package (`deb-control(5)`).

use crate::yaml::cut;

/// The longest `control`, in bytes. The longest in Debian 12 has 75 KiB.
const LIMIT: usize = 1 << 20;
/// The most fields. In Debian 12 none has more than 28; each is compared with all before it.
const FIELDS: usize = 1000;

/// One stanza: field names as written, values with their continuation lines.
#[derive(Debug, Clone)]
pub(super) struct Stanza {
    fields: Vec<(String, String)>,
}

impl Stanza {
    /// Reads the only stanza of a control file.
    ///
    /// # Errors
    /// What is wrong, in words.
    pub(super) fn parse(bytes: &[u8]) -> Result<Self, String> {
        if bytes.len() > LIMIT {
            return Err("its control file is longer than 1 MiB".to_owned());
        }
        let text = std::str::from_utf8(bytes).map_err(|_| "its control file is not UTF-8".to_owned())?;
        let mut fields: Vec<(String, String)> = Vec::new();
        for line in text.trim_end().lines() {
            if line.starts_with([' ', '\t']) {
                let (_, value) = fields.last_mut().ok_or("its control file begins with a continuation line")?;
                value.push('\n');
                value.push_str(line);
            } else if line.trim().is_empty() {
                return Err("its control file has more than one stanza".to_owned());
            } else {
                let (name, value) = line.split_once(':').ok_or_else(|| format!("its control file has a line without a colon: {:?}", cut(line)))?;
                if fields.len() >= FIELDS {
                    return Err(format!("its control file has more than {FIELDS} fields"));
                }
                if fields.iter().any(|(other, _)| other.eq_ignore_ascii_case(name)) {
                    return Err(format!("its control file has the field {} twice", cut(name)));
                }
                fields.push((name.to_owned(), value.trim().to_owned()));
            }
        }
        let stanza = Self { fields };
        for required in ["Package", "Version", "Architecture"] {
            if stanza.field(required).is_none_or(str::is_empty) {
                return Err(format!("its control file has no {required}"));
            }
        }
        Ok(stanza)
    }

    /// The value of a field, without regard to the case of its name.
    pub(super) fn field(&self, name: &str) -> Option<&str> {
        self.fields.iter().find(|(field, _)| field.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
    }

    /// All fields, names as written.
    pub(super) fn into_fields(self) -> Vec<(String, String)> {
        self.fields
    }

    /// The stanza as dpkg's `status` file has it for a package that is unpacked and not yet configured.
    ///
    /// `conffiles` are paths; dpkg takes the word `newconffile` for “not yet installed”.
    pub(super) fn unpacked_status(&self, conffiles: &[String]) -> String {
        use std::fmt::Write as _;
        let mut text = String::new();
        for (name, value) in &self.fields {
            if name.eq_ignore_ascii_case("Status") || name.eq_ignore_ascii_case("Conffiles") {
                continue;
            }
            // Writing to a string cannot fail.
            let _ = writeln!(text, "{name}: {value}");
            if name.eq_ignore_ascii_case("Package") {
                text.push_str("Status: install ok unpacked\n");
            }
        }
        if !conffiles.is_empty() {
            text.push_str("Conffiles:\n");
            for path in conffiles {
                let _ = writeln!(text, " {path} newconffile");
            }
        }
        text.push('\n');
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn becomes_a_status_stanza() {
        let stanza = Stanza::parse(b"Package: a\nVersion: 1\nArchitecture: all\nDescription: short\n long\n").unwrap();
        assert_eq!(
            stanza.unpacked_status(&["/etc/a".to_owned()]),
            "Package: a\nStatus: install ok unpacked\nVersion: 1\nArchitecture: all\nDescription: short\n long\nConffiles:\n /etc/a newconffile\n\n"
        );
    }

    #[test]
    fn refuses_what_could_smuggle_a_second_package() {
        for text in ["Package: a\n", "Package: a\nVersion: 1\nArchitecture: all\n\nPackage: b\n", " x\n", "Package: a\npackage: b\n", "nonsense\n"] {
            assert!(Stanza::parse(text.as_bytes()).is_err(), "{text:?}");
        }
    }
}

//! Licences as packages say them, in the words that bills can have (annex D of the SPDX specification).
//!
//! RPM packages say a licence in a field, of late often as an SPDX expression. What is none is told as the packager wrote it, and never guessed at: `GPLv2+` is not
//! `GPL-2.0-or-later` until somebody has looked at it.

use spdx::expression::ExpressionReq;
use spdx::{AdditionItem, Expression, LicenseItem};

use crate::digest::Digest;

/// What a package says of its licence.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Licence<'l> {
    /// A valid expression, with the names (`LicenseRef-…`) in it that a document must explain.
    Expression(&'l str, Vec<String>),
    /// Something else.
    Text(&'l str),
}

impl<'l> Licence<'l> {
    pub(super) fn of(text: &'l str) -> Self {
        // Up to version 2.3 operators have capitals; the parser takes others, too.
        let is_small =
            |word: &str| ["and", "or", "with"].iter().any(|operator| word.eq_ignore_ascii_case(operator)) && word.to_ascii_uppercase() != word;
        if text.split(|char: char| !char.is_ascii_alphanumeric() && !"-.:+".contains(char)).any(is_small) {
            return Self::Text(text);
        }
        match Expression::parse(text).ok().and_then(|expression| references(&expression)) {
            Some(references) => Self::Expression(text, references),
            None => Self::Text(text),
        }
    }
}

/// The names that are explained in the same document; none where others are meant, which no bill has.
fn references(expression: &Expression) -> Option<Vec<String>> {
    let mut names = Vec::new();
    for ExpressionReq { req, .. } in expression.requirements() {
        if matches!(req.addition, Some(AdditionItem::Other(_))) {
            return None;
        }
        match &req.license {
            LicenseItem::Spdx { .. } => {}
            LicenseItem::Other(reference) if reference.doc_ref.is_some() => return None,
            LicenseItem::Other(reference) => names.push(format!("LicenseRef-{}", reference.lic_ref)),
        }
    }
    Some(names)
}

/// The name of a licence that is no expression: the same for the same text.
pub(super) fn reference(text: &str) -> String {
    format!("LicenseRef-{}", Digest::of(text.as_bytes()).short())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_the_specification_has_is_an_expression() {
        for text in ["MIT", "GPL-2.0-or-later WITH Classpath-exception-2.0", "(MIT OR Apache-2.0) AND BSD-3-Clause", "CDDL-1.0+"] {
            assert_eq!(Licence::of(text), Licence::Expression(text, Vec::new()));
        }
        let named = "LicenseRef-Fedora-Public-Domain AND (MIT OR LicenseRef-a.b)";
        let names = ["LicenseRef-Fedora-Public-Domain", "LicenseRef-a.b"].map(str::to_owned);
        assert_eq!(Licence::of(named), Licence::Expression(named, names.to_vec()));
        for text in [
            "GPLv2+",
            "GPL-2.0",
            "GPL-2.0+",
            "MIT and BSD-3-Clause",
            "MIT With Classpath-exception-2.0",
            "mit",
            "MIT AND",
            "(MIT",
            "DocumentRef-a:LicenseRef-b",
            "GPL-2.0-only WITH AdditionRef-a",
            "LicenseRef-a_b",
            "",
            "ü",
        ] {
            assert_eq!(Licence::of(text), Licence::Text(text));
        }
        assert_eq!(reference("GPLv2+"), reference("GPLv2+"));
        assert_ne!(reference("GPLv2+"), reference("GPLv2"));
    }

    #[test]
    fn deep_and_long_texts_end() {
        for text in ["(".repeat(4096), "MIT OR ".repeat(600), format!("{}MIT{}", "(".repeat(2000), ")".repeat(2000))] {
            let _ = Licence::of(&text);
        }
    }
}

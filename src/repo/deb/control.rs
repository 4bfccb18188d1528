//! Paragraphs of fields: the syntax of Release, Packages and `.sources` files (`deb822(5)`).
//!
//! One pass over bytes, nothing copied: an index of 50 MB is read at the speed of `memchr`. Values stay bytes, because archives carry maintainers'
//! names in whatever encoding they had; who needs text checks the fields that it needs.

use memchr::memchr;

/// What comes next in a control file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Item<'a> {
    /// A field of the current paragraph.
    Field(Field<'a>),
    /// The paragraph is over. Never comes twice in a row, and always comes last.
    End,
}

/// A field: a name, and all lines of its value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Field<'a> {
    /// As it is written; names are compared without regard to case.
    pub(crate) name: &'a [u8],
    /// Without surrounding white space. Continuation lines keep their line breaks and indents.
    pub(crate) value: &'a [u8],
    /// Where the field begins in the file, in bytes.
    pub(crate) offset: usize,
}

impl<'a> Field<'a> {
    /// Whether this is the field `name`.
    pub(crate) fn is(&self, name: &str) -> bool {
        self.name.eq_ignore_ascii_case(name.as_bytes())
    }

    /// The value, where it is text.
    pub(crate) fn text(&self) -> Option<&'a str> {
        std::str::from_utf8(self.value).ok()
    }

    /// The lines of the value without surrounding white space, empty ones and comments left out.
    pub(crate) fn lines(&self) -> impl Iterator<Item = &'a [u8]> + use<'a> {
        self.value.split(|byte| *byte == b'\n').filter(|line| !line.starts_with(b"#")).map(<[u8]>::trim_ascii).filter(|line| !line.is_empty())
    }
}

/// A line that belongs to no field.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("line {line} is no field (“Name: value”)")]
pub struct SyntaxError {
    /// Counted from 1.
    pub line: usize,
}

/// Reads a control file item by item.
#[derive(Debug)]
pub(crate) struct Scanner<'a> {
    text: &'a [u8],
    at: usize,
    in_paragraph: bool,
}

impl<'a> Scanner<'a> {
    /// A scanner at the begin of `text`.
    pub(crate) fn new(text: &'a [u8]) -> Self {
        Self { text, at: 0, in_paragraph: false }
    }

    /// The end of the line that begins at `start`, without and with its line break.
    fn line_end(&self, start: usize) -> (usize, usize) {
        memchr(b'\n', &self.text[start..]).map_or((self.text.len(), self.text.len()), |length| (start + length, start + length + 1))
    }

    fn field(&mut self, start: usize) -> Result<Field<'a>, SyntaxError> {
        let (mut end, mut next) = self.line_end(start);
        let colon = memchr(b':', &self.text[start..end]).filter(|length| *length > 0).map(|length| start + length);
        let Some(colon) = colon.filter(|_| !self.text[start].is_ascii_whitespace()) else {
            return Err(SyntaxError { line: line_of(self.text, start) });
        };
        // A line that begins with white space continues the value, unless there is nothing else on it; comments within a value belong to it.
        while matches!(self.text.get(next), Some(b' ' | b'\t' | b'#')) {
            let (line_end, line_next) = self.line_end(next);
            if self.text[next..line_end].trim_ascii().is_empty() {
                break;
            }
            (end, next) = (line_end, line_next);
        }
        self.at = next;
        Ok(Field { name: self.text[start..colon].trim_ascii_end(), value: self.text[colon + 1..end].trim_ascii(), offset: start })
    }
}

impl<'a> Iterator for Scanner<'a> {
    type Item = Result<Item<'a>, SyntaxError>;

    fn next(&mut self) -> Option<Self::Item> {
        while self.at < self.text.len() {
            let start = self.at;
            match self.text[start] {
                b'#' => self.at = self.line_end(start).1,
                b'\n' | b' ' | b'\t' | b'\r' if self.text[start..self.line_end(start).0].trim_ascii().is_empty() => {
                    self.at = self.line_end(start).1;
                    if std::mem::take(&mut self.in_paragraph) {
                        return Some(Ok(Item::End));
                    }
                }
                _ => {
                    self.in_paragraph = true;
                    return Some(self.field(start).map(Item::Field).inspect_err(|_| {
                        self.at = self.text.len();
                        self.in_paragraph = false;
                    }));
                }
            }
        }
        std::mem::take(&mut self.in_paragraph).then_some(Ok(Item::End))
    }
}

/// The number of the line that holds the byte at `offset`, counted from 1.
pub(super) fn line_of(text: &[u8], offset: usize) -> usize {
    memchr::memchr_iter(b'\n', &text[..offset.min(text.len())]).count() + 1
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn paragraphs(text: &str) -> Result<Vec<Vec<(String, String)>>, SyntaxError> {
        let mut done = Vec::new();
        let mut current = Vec::new();
        for item in Scanner::new(text.as_bytes()) {
            match item? {
                Item::Field(field) => {
                    current.push((String::from_utf8_lossy(field.name).into_owned(), String::from_utf8_lossy(field.value).into_owned()));
                }
                Item::End => done.push(std::mem::take(&mut current)),
            }
        }
        assert!(current.is_empty(), "the last paragraph was closed");
        Ok(done)
    }

    fn pairs(fields: &[(&str, &str)]) -> Vec<(String, String)> {
        fields.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    }

    #[test]
    fn reads_paragraphs_fields_and_continuations() {
        let text = "\n# a comment\nPackage: a\nDepends: b,\n c\n\td\n\n \nPackage:b\nEmpty:\n";
        assert_eq!(paragraphs(text), Ok(vec![pairs(&[("Package", "a"), ("Depends", "b,\n c\n\td")]), pairs(&[("Package", "b"), ("Empty", "")])]));
        assert_eq!(paragraphs(""), Ok(vec![]));
        assert_eq!(paragraphs("A: 1"), Ok(vec![pairs(&[("A", "1")])]));
        assert_eq!(paragraphs("A: 1\r\n\r\nB: 2\r\n"), Ok(vec![pairs(&[("A", "1")]), pairs(&[("B", "2")])]));
    }

    #[test]
    fn names_the_line_that_is_no_field() {
        for (text, line) in [("A: 1\n\nnonsense\n", 3), (" indented: 1\n", 1), (": value\n", 1), ("A: 1\nnonsense", 2)] {
            assert_eq!(paragraphs(text), Err(SyntaxError { line }), "{text:?}");
        }
    }

    #[test]
    fn leaves_comments_out_of_lists() {
        let field = Field { name: b"URIs", value: b"one\n# two\n three", offset: 0 };
        assert_eq!(field.lines().collect::<Vec<_>>(), [b"one".as_slice(), b"three"]);
    }

    proptest! {
        #[test]
        fn never_panics_and_always_ends(text in proptest::collection::vec(prop_oneof![Just(b'\n'), Just(b' '), Just(b':'), Just(b'#'), any::<u8>()], 0..200)) {
            prop_assert!(Scanner::new(&text).count() <= 2 * text.len() + 1);
        }

        #[test]
        fn round_trips(input in proptest::collection::vec(proptest::collection::vec(("[A-Za-z][A-Za-z-]{0,8}", "[!-~]([ -~]{0,8}[!-~])?"), 1..5), 0..5)) {
            let text: String = input.iter().map(|fields| {
                fields.iter().fold(String::new(), |text, (name, value)| text + name + ": " + value + "\n") + "\n"
            }).collect();
            prop_assert_eq!(paragraphs(&text).unwrap(), input);
        }
    }
}

//! Mistakes in a file, with their places.

use std::cell::RefCell;
use std::fmt;
use std::path::{Path, PathBuf};

use serde::Serialize;

use super::{Node, Place};

/// The most mistakes that are reported of one file; the rest is counted.
const LIMIT: usize = 100;

/// One mistake.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Diagnostic {
    /// The file, as the user named it.
    pub path: PathBuf,
    /// From 1; none where the file as a whole is meant.
    pub line: Option<usize>,
    /// In characters, from 1.
    pub column: Option<usize>,
    /// What is wrong, and what was expected.
    pub message: String,
    /// The way out, where there is one.
    pub hint: Option<String>,
}

impl fmt::Display for Diagnostic {
    /// `file:line:column: message`, and the hint after a semicolon; always one line.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:", self.path.display())?;
        if let (Some(line), Some(column)) = (self.line, self.column) {
            write!(f, "{line}:{column}:")?;
        }
        write!(f, " {}", self.message)?;
        self.hint.as_ref().map_or(Ok(()), |hint| write!(f, "; {hint}"))
    }
}

/// Collects the mistakes of a file, or of several that are read as one.
pub struct Report {
    /// Never empty.
    paths: RefCell<Vec<PathBuf>>,
    found: RefCell<Vec<(Option<Place>, Diagnostic)>>,
}

impl Report {
    /// An empty report on the file of that name.
    pub fn new(path: &Path) -> Self {
        Self { paths: RefCell::new(vec![path.to_owned()]), found: RefCell::default() }
    }

    /// Takes in another file, and says its number: [`Place::file`] of what is in it.
    ///
    /// # Panics
    /// After 65,536 files.
    pub fn add_file(&self, path: &Path) -> u16 {
        let mut paths = self.paths.borrow_mut();
        paths.push(path.to_owned());
        u16::try_from(paths.len() - 1).expect("no more files are read as one than Place has numbers")
    }

    /// The file of a place, as it was named.
    pub fn path_of(&self, place: Place) -> PathBuf {
        let paths = self.paths.borrow();
        paths.get(usize::from(place.file)).unwrap_or(&paths[0]).clone()
    }

    /// Where something is that a mistake at the place `beside` speaks of: `line 5`, with the file if it is another one.
    pub fn line_of(&self, place: Place, beside: Place) -> String {
        if place.file == beside.file { format!("line {}", place.line) } else { format!("line {} of {}", place.line, self.path_of(place).display()) }
    }

    /// Takes a mistake.
    pub fn error(&self, place: Place, message: impl Into<String>) {
        self.add(Some(place), message.into(), None);
    }

    /// Takes a mistake that has a way out.
    pub fn error_with_hint(&self, place: Place, message: impl Into<String>, hint: impl Into<String>) {
        self.add(Some(place), message.into(), Some(hint.into()));
    }

    /// Takes a value of the wrong type: `what` is its name in the document, `expected` reads as in “expected a list”.
    pub fn wrong_type(&self, what: &str, expected: &str, found: &Node, hint: Option<String>) {
        self.add(Some(found.place), format!("{what} must be {expected}, but is {}", found.describe()), hint);
    }

    /// Whether nothing was reported yet.
    pub fn is_empty(&self) -> bool {
        self.found.borrow().is_empty()
    }

    /// The mistakes in the order of the files.
    pub fn into_diagnostics(self) -> Vec<Diagnostic> {
        let mut found = self.found.into_inner();
        found.sort_by_key(|(place, _)| *place);
        let mut found: Vec<Diagnostic> = found.into_iter().map(|(_, mistake)| mistake).collect();
        found.dedup();
        if found.len() > LIMIT {
            let rest = found.len() - LIMIT;
            found.truncate(LIMIT);
            let message = format!("{rest} more mistakes are not shown");
            let path = self.paths.into_inner().swap_remove(0);
            found.push(Diagnostic { path, line: None, column: None, message, hint: None });
        }
        found
    }

    fn add(&self, place: Option<Place>, message: String, hint: Option<String>) {
        let (line, column) = (place.map(|place| place.line), place.map(|place| place.column));
        let path = self.path_of(place.unwrap_or(Place::START));
        self.found.borrow_mut().push((place, Diagnostic { path, line, column, message, hint }));
    }
}

/// The name among `known` that `text` most likely means, if any is near.
pub(crate) fn nearest<'n>(text: &str, known: impl IntoIterator<Item = &'n str>) -> Option<&'n str> {
    // Nobody mistypes a long name; a long text only costs time.
    if text.len() > 64 {
        return None;
    }
    let lower = text.to_lowercase();
    known
        .into_iter()
        .map(|name| (strsim::osa_distance(&lower, &name.to_lowercase()), name))
        .filter(|(distance, name)| *distance <= 1 + name.len() / 4)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, name)| name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_name_is_found() {
        let known = ["hostname", "name", "packages", "users"];
        for (text, expected) in [("hostnam", Some("hostname")), ("Packages", Some("packages")), ("uesrs", Some("users")), ("quux", None), ("", None)]
        {
            assert_eq!(nearest(text, known), expected, "{text}");
        }
        assert_eq!(nearest(&"x".repeat(1 << 20), known), None);
    }

    #[test]
    fn mistakes_come_in_the_order_of_the_file_and_are_bounded() {
        let report = Report::new(Path::new("a.yml"));
        for line in (1..=150).rev() {
            report.error(Place { line, column: 2, ..Place::START }, "wrong");
        }
        let found = report.into_diagnostics();
        assert_eq!(found.len(), 101);
        assert_eq!(found[0].to_string(), "a.yml:1:2: wrong");
        assert_eq!(found[100].to_string(), "a.yml: 50 more mistakes are not shown");
    }
}

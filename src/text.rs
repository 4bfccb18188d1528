//! Text from outside, made harmless.

use std::borrow::Cow;
use std::fmt::Write as _;
use std::path::Path;

/// The text without what a terminal would obey: control characters (escape sequences begin with one) and the marks that turn the direction of text
/// around are written as `\u{1b}`. Newlines and tabs stay.
pub fn printable(text: &str) -> Cow<'_, str> {
    if !text.chars().any(is_obeyed) {
        return Cow::Borrowed(text);
    }
    let mut shown = String::with_capacity(text.len() + 16);
    for character in text.chars() {
        if is_obeyed(character) {
            // Writing to a string does not fail.
            let _ = write!(shown, "{}", character.escape_unicode());
        } else {
            shown.push(character);
        }
    }
    Cow::Owned(shown)
}

fn is_obeyed(character: char) -> bool {
    let turns_text = matches!(character, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    turns_text || (character.is_control() && !matches!(character, '\n' | '\t'))
}

/// `1 package`, `143 packages`: for nouns whose plural is an `s`.
pub fn count(number: u64, noun: &str) -> String {
    format!("{number} {noun}{}", if number == 1 { "" } else { "s" })
}

/// A path as a word of a command line (POSIX.1-2024, Shell Command Language, 2.2): in quotes where a shell would take it for something else.
pub fn word(path: &Path) -> String {
    let text = path.display().to_string();
    let is_plain = |character: char| character.is_alphanumeric() || "/._-+=:,@%".contains(character);
    if !text.is_empty() && text.chars().all(is_plain) { text } else { format!("'{}'", text.replace('\'', r"'\''")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shell_takes_a_path_as_one_word() {
        let words = ["edge.yml", "specs/größe-1.yml", "my spec.yml", "it's.yml", "$HOME/~", ""].map(|path| word(Path::new(path)));
        assert_eq!(words, ["edge.yml", "specs/größe-1.yml", "'my spec.yml'", r"'it'\''s.yml'", "'$HOME/~'", "''"]);
    }

    #[test]
    fn terminals_are_not_commanded() {
        assert_eq!(printable("a\u{1b}[2Jb\u{9b}c\rd\u{202e}e\n\tf — “g”"), "a\\u{1b}[2Jb\\u{9b}c\\u{d}d\\u{202e}e\n\tf — “g”");
        assert!(matches!(printable("plain\n"), Cow::Borrowed(_)));
    }

    #[test]
    fn one_is_not_many() {
        assert_eq!([count(0, "package"), count(1, "package"), count(2, "package")], ["0 packages", "1 package", "2 packages"]);
    }
}

//! What may stand in the small text files that a boot needs, where a blank or a line feed would change the meaning.

/// Whether a text is one non-empty word: no blanks, no control characters.
pub(super) fn is_one_word(text: &str) -> bool {
    !text.is_empty() && !text.chars().any(|letter| letter.is_whitespace() || letter.is_control())
}

/// Whether a text is the name of a file in a path: one word, no `/`, neither `.` nor `..`, and nothing that `fstab(5)` would read as an escape.
pub(super) fn is_plain_name(text: &str) -> bool {
    is_one_word(text) && !text.contains(['/', '\\', '#']) && text != "." && text != ".."
}

/// Whether a text fits on a line of its own.
pub(super) fn is_one_line(text: &str) -> bool {
    !text.chars().any(char::is_control)
}

/// A text as an error shows it: cut to 80 characters, control characters escaped.
pub(super) fn shown(text: &str) -> String {
    text.chars().take(80).flat_map(|letter| if letter.is_control() { letter.escape_default().collect() } else { vec![letter] }).collect()
}

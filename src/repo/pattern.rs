//! Patterns of package names, as the shell has them (`glob(7)`): `*`, `?`, `[a-z]` and `[!a-z]`.

/// Whether a text is a pattern, and not a name.
pub fn is_pattern(text: &str) -> bool {
    text.contains(['*', '?', '['])
}

/// Whether a name is one that the pattern means. Takes time in the product of both lengths, whatever the pattern.
pub fn matches(pattern: &str, name: &str) -> bool {
    let (pattern, name) = (pattern.as_bytes(), name.as_bytes());
    let (mut at, mut in_name) = (0, 0);
    // Where the last `*` stood, and how far it reaches by now.
    let mut star: Option<(usize, usize)> = None;
    while in_name < name.len() {
        if pattern.get(at) == Some(&b'*') {
            star = Some((at, in_name));
            at += 1;
        } else if let Some(next) = one(&pattern[at..], name[in_name]) {
            at += next;
            in_name += 1;
        } else if let Some((place, reach)) = star {
            star = Some((place, reach + 1));
            (at, in_name) = (place + 1, reach + 1);
        } else {
            return false;
        }
    }
    pattern[at..].iter().all(|&byte| byte == b'*')
}

/// Whether a name is on a list of names and patterns; every name is where the list is empty.
pub fn allows(list: &[String], name: &str) -> bool {
    list.is_empty() || list.iter().any(|allowed| matches(allowed, name))
}

/// Whether a name is one that a list of names and patterns allows, and another one does not exclude.
pub fn takes(allow: &[String], exclude: &[String], name: &str) -> bool {
    allows(allow, name) && !exclude.iter().any(|excluded| matches(excluded, name))
}

/// How much of the pattern means this one byte; none if it means another.
fn one(pattern: &[u8], byte: u8) -> Option<usize> {
    match *pattern.first()? {
        b'?' => Some(1),
        b'[' => match set(pattern) {
            Some((set, length)) => contains(set, byte).then_some(length),
            // A set without its end is only a bracket.
            None => (byte == b'[').then_some(1),
        },
        other => (other == byte).then_some(1),
    }
}

/// What stands between the brackets, and the length of the whole. The first byte of a set is never its end.
fn set(pattern: &[u8]) -> Option<(&[u8], usize)> {
    let first = 1 + usize::from(matches!(pattern.get(1), Some(b'!' | b'^')));
    let end = first + 1 + pattern.get(first + 1..)?.iter().position(|&byte| byte == b']')?;
    Some((&pattern[1..end], end + 1))
}

fn contains(set: &[u8], byte: u8) -> bool {
    let (negated, mut set) = match set {
        [b'!' | b'^', rest @ ..] => (true, rest),
        whole => (false, whole),
    };
    let mut found = false;
    while let [first, rest @ ..] = set {
        let (last, rest) = if let [b'-', last, rest @ ..] = rest { (last, rest) } else { (first, rest) };
        found |= (*first..=*last).contains(&byte);
        set = rest;
    }
    found != negated
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_mean_what_the_shell_means() {
        let hits = [
            ("linux-image-generic*", "linux-image-generic"),
            ("linux-image-generic*", "linux-image-generic-hwe-24.04"),
            ("*", ""),
            ("a*b*c", "a-b-b-c"),
            ("?a", "1a"),
            ("lib[a-c]1", "libb1"),
            ("lib[!a-c]1", "libd1"),
            ("[]-]", "-"),
            ("a[", "a["),
            ("**a", "ba"),
        ];
        for (pattern, name) in hits {
            assert!(matches(pattern, name), "{pattern} {name}");
        }
        for (pattern, name) in [("a*", "b"), ("a", "ab"), ("?", ""), ("a*b", "abc"), ("lib[a-c]1", "libd1"), ("[!a]", "a"), ("", "a")] {
            assert!(!matches(pattern, name), "{pattern} {name}");
        }
    }

    #[test]
    fn a_hostile_pattern_is_quick() {
        assert!(!matches(&("a*".repeat(100) + "b"), &"a".repeat(250)));
    }

    #[test]
    fn no_pattern_panics() {
        let signs = [b'*', b'?', b'[', b']', b'!', b'-', b'a'];
        for number in 0..7_u32.pow(5) {
            let pattern: Vec<u8> = (0..5).map(|place| signs[(number / 7_u32.pow(place) % 7) as usize]).collect();
            matches(&String::from_utf8(pattern).unwrap(), "a[-");
        }
    }
}

//! What `cache pin` and `cache unpin` show.

use std::io;

use image_composer::cache::Pinnable;

use super::{Ui, data, json, text};

/// What a word of the command line meant, and whether each of it was changed.
pub(crate) struct Pinned<'a> {
    /// The word.
    pub(crate) word: &'a str,
    /// One image, or at least one package.
    pub(crate) entries: Vec<(Pinnable, bool)>,
}

impl Ui {
    /// Says what was pinned, or unpinned, a line for each word.
    pub(crate) fn pinned(self, words: &[Pinned<'_>], pinned: bool, json: bool) -> io::Result<()> {
        for word in words {
            self.say(&line(word, pinned));
        }
        if json { data::json(&json::Pins::new(words, pinned)) } else { Ok(()) }
    }
}

fn line(Pinned { word, entries }: &Pinned<'_>, pinned: bool) -> String {
    let changed = entries.iter().filter(|(_, changed)| *changed).count();
    let what = match entries.as_slice() {
        [(Pinnable::Image(image), _)] => format!("{}, {} {}", image.spec_hash.short(), image.name, image.version).trim_end().to_owned(),
        [(Pinnable::Package(package), _)] => package.to_string(),
        several => format!("{} called {word}", text::count(several.len() as u64, "package")),
    };
    let (done, already) = if pinned { ("pinned", "pinned already") } else { ("unpinned", "not pinned") };
    match entries.len() - changed {
        0 => format!("{done} {what}"),
        _ if changed == 0 && entries.len() == 1 => format!("{what} is {already}"),
        _ if changed == 0 => format!("{what} are {already}"),
        rest => format!("{done} {what}; {rest} of them {} {already}", if rest == 1 { "was" } else { "were" }),
    }
}

#[cfg(test)]
mod tests {
    use image_composer::cache::{Coordinates, ImageName};

    use super::*;
    use crate::ui::images::tests::image;

    fn image_name(name: &str) -> ImageName {
        let image = image(name, 2);
        ImageName { spec_hash: image.spec_hash, name: image.name, version: image.version }
    }

    fn words() -> Vec<Pinned<'static>> {
        let package = |version| Pinnable::Package(Coordinates::new("libc6", version, "amd64", "debian").unwrap());
        let image = || Pinnable::Image(image_name("minimal"));
        let word = |word, entries| Pinned { word, entries };
        vec![
            word("96a0", vec![(image(), true)]),
            word("96a0", vec![(image(), false)]),
            word("libc6=1", vec![(package("1"), true)]),
            word("libc6=1", vec![(package("1"), false)]),
            word("libc6", vec![(package("1"), true), (package("2"), true)]),
            word("libc6", vec![(package("1"), true), (package("2"), false)]),
            word("libc6", vec![(package("1"), false), (package("2"), false)]),
        ]
    }

    #[test]
    fn a_line_for_each_word_says_what_changed() {
        let lines = |pinned| words().iter().map(|word| line(word, pinned)).collect::<Vec<_>>().join("\n");
        insta::assert_snapshot!([lines(true), lines(false)].join("\n\n"));
    }

    #[test]
    fn the_json_of_pins_is_a_promise() {
        insta::assert_json_snapshot!(json::Pins::new(&words()[..3], true));
    }
}

//! Text → tree, within bounds.

use std::collections::HashMap;

use saphyr_parser::{Event, Marker, Parser, ScalarStyle, ScanError, Span};

use super::scalar::cut;
use super::{Entry, Kind, Node, Place, Report, Scalar};

/// The most levels of lists and mappings; what this program reads has seven.
const MAX_DEPTH: usize = 32;

/// The most nodes that anchors and aliases may stand for in all.
const MAX_ALIASED: usize = 10_000;

/// The tree of the one document in `text`; a file without a document is a null. Every mistake goes to `report`. There is a tree unless a mistake makes
/// the rest of the document meaningless: of a key that is there twice, it has the first.
pub fn parse(text: &str, report: &Report) -> Option<Node> {
    parse_file(text, 0, report)
}

/// The same for the file of that number in the report.
pub fn parse_file(text: &str, file: u16, report: &Report) -> Option<Node> {
    let mut builder = Builder { file, report, stack: Vec::new(), anchors: HashMap::new(), aliased: 0, documents: 0, root: None };
    for event in Parser::new_from_str(text) {
        let step = match event {
            Ok((event, span)) => builder.take(event, span),
            Err(error) => {
                report_syntax(text, file, &error, report);
                Err(Stop)
            }
        };
        if step.is_err() {
            return None;
        }
    }
    Some(builder.root.unwrap_or(Node { place: Place { file, ..Place::START }, kind: Kind::Scalar(Scalar::Null) }))
}

/// The rest of the document is not looked at: a mistake that makes it meaningless is reported.
struct Stop;

struct Builder<'r> {
    file: u16,
    report: &'r Report,
    stack: Vec<Frame>,
    /// The finished nodes that have an anchor.
    anchors: HashMap<usize, Node>,
    aliased: usize,
    documents: usize,
    root: Option<Node>,
}

/// A collection that is not closed yet.
struct Frame {
    place: Place,
    /// Zero for none.
    anchor: usize,
    content: Content,
}

enum Content {
    Sequence(Vec<Node>),
    Mapping { entries: Vec<Entry>, seen: HashMap<String, Place>, key: Option<Key> },
}

/// A key whose value is still to come.
struct Key {
    text: String,
    place: Place,
    /// Whether the mapping has it already.
    again: bool,
}

impl Builder<'_> {
    fn take(&mut self, event: Event<'_>, span: Span) -> Result<(), Stop> {
        let place = place(self.file, &span.start);
        match event {
            Event::Nothing | Event::StreamStart | Event::StreamEnd | Event::DocumentEnd => Ok(()),
            Event::DocumentStart(_) => self.document(place),
            Event::Alias(id) => self.alias(id, place),
            Event::Scalar(text, style, anchor, tag) => {
                self.refuse_tag(tag.is_some(), place);
                self.scalar(&text, style, anchor, place)
            }
            Event::SequenceStart(anchor, tag) => {
                self.refuse_tag(tag.is_some(), place);
                self.open(Frame { place, anchor, content: Content::Sequence(Vec::new()) })
            }
            Event::MappingStart(anchor, tag) => {
                self.refuse_tag(tag.is_some(), place);
                self.open(Frame { place, anchor, content: Content::Mapping { entries: Vec::new(), seen: HashMap::new(), key: None } })
            }
            Event::SequenceEnd | Event::MappingEnd => self.close(),
        }
    }

    fn document(&mut self, place: Place) -> Result<(), Stop> {
        self.documents += 1;
        if self.documents > 1 {
            self.report.error(place, "a second document begins here, and a file can have only one");
            return Err(Stop);
        }
        Ok(())
    }

    fn refuse_tag(&self, tagged: bool, place: Place) {
        if tagged {
            self.report.error_with_hint(place, "a tag (!…) cannot be used here", "leave it out, and put a text in quotes");
        }
    }

    fn open(&mut self, frame: Frame) -> Result<(), Stop> {
        if let Some(Frame { content: Content::Mapping { key: None, .. }, .. }) = self.stack.last() {
            self.report.error(frame.place, "a key must be a text, not a list or a mapping");
            return Err(Stop);
        }
        if self.stack.len() == MAX_DEPTH {
            self.report.error(frame.place, format!("lists and mappings are nested deeper than {MAX_DEPTH} levels"));
            return Err(Stop);
        }
        self.stack.push(frame);
        Ok(())
    }

    fn close(&mut self) -> Result<(), Stop> {
        let Some(frame) = self.stack.pop() else { return Ok(()) };
        let kind = match frame.content {
            Content::Sequence(items) => Kind::Sequence(items),
            Content::Mapping { entries, .. } => Kind::Mapping(entries),
        };
        self.put(Node { place: frame.place, kind }, frame.anchor)
    }

    fn scalar(&mut self, text: &str, style: ScalarStyle, anchor: usize, place: Place) -> Result<(), Stop> {
        if let Some(Frame { content: Content::Mapping { seen, key: key @ None, .. }, .. }) = self.stack.last_mut() {
            let first = *seen.entry(text.to_owned()).or_insert(place);
            let again = first != place;
            if again {
                let message = format!("the key “{}” is here a second time; the first is in line {}", cut(text), first.line);
                self.report.error(place, message);
            }
            *key = Some(Key { text: text.to_owned(), place, again });
            return Ok(());
        }
        let scalar = if style == ScalarStyle::Plain { Scalar::plain(text) } else { Scalar::Text(text.to_owned()) };
        // A value that is not there has no place of its own: its key's is the one that helps.
        let place = match self.stack.last() {
            Some(Frame { content: Content::Mapping { key: Some(key), .. }, .. }) if text.is_empty() && scalar == Scalar::Null => key.place,
            _ => place,
        };
        self.put(Node { place, kind: Kind::Scalar(scalar) }, anchor)
    }

    fn alias(&mut self, id: usize, place: Place) -> Result<(), Stop> {
        if matches!(self.stack.last(), Some(Frame { content: Content::Mapping { key: None, .. }, .. })) {
            self.report.error(place, "an alias (*…) cannot be a key");
            return Err(Stop);
        }
        let Some(node) = self.anchors.get(&id).cloned() else {
            self.report.error(place, "this alias (*…) names a value that it is a part of");
            return Err(Stop);
        };
        self.spend(&node, place)?;
        self.put(node, 0)
    }

    /// Puts a finished node where it belongs.
    fn put(&mut self, node: Node, anchor: usize) -> Result<(), Stop> {
        if anchor != 0 {
            self.spend(&node, node.place)?;
            self.anchors.insert(anchor, node.clone());
        }
        match self.stack.last_mut().map(|frame| &mut frame.content) {
            None => self.root = Some(node),
            Some(Content::Sequence(items)) => items.push(node),
            Some(Content::Mapping { entries, key, .. }) => {
                // A key always comes first: `scalar`, `open` and `alias` see to it.
                if let Some(Key { text, place, again: false }) = key.take() {
                    entries.push(Entry { key: text, place, value: node });
                }
            }
        }
        Ok(())
    }

    fn spend(&mut self, node: &Node, place: Place) -> Result<(), Stop> {
        self.aliased = self.aliased.saturating_add(node.count());
        if self.aliased > MAX_ALIASED {
            self.report.error(place, format!("anchors and aliases (&…, *…) stand for more than {MAX_ALIASED} values"));
            return Err(Stop);
        }
        Ok(())
    }
}

fn place(file: u16, marker: &Marker) -> Place {
    Place { file, line: marker.line().max(1), column: marker.col() + 1 }
}

/// The parser's own message, except where a person would not see what it means: tabs.
fn report_syntax(text: &str, file: u16, error: &ScanError, report: &Report) {
    let place = place(file, error.marker());
    let line = text.split('\n').nth(place.line - 1).unwrap_or_default();
    let indent = line.chars().take_while(|char| char.is_whitespace());
    match indent.into_iter().position(|char| char == '\t') {
        Some(column) => report.error(Place { column: column + 1, ..place }, "a tab cannot indent YAML: use spaces"),
        None => report.error(place, format!("this is not valid YAML: {}", error.info().replace(char::is_control, " "))),
    }
}

#[cfg(test)]
mod tests {
    use std::fmt::Write as _;
    use std::path::Path;
    use std::time::Duration;

    use proptest::prelude::*;

    use super::*;

    /// The tree in one line with the places, or the mistakes.
    fn shown(text: &str) -> String {
        let report = Report::new(Path::new("t"));
        match parse(text, &report) {
            Some(node) if report.is_empty() => show(&node),
            _ => report.into_diagnostics().iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"),
        }
    }

    fn show(node: &Node) -> String {
        let mut out = format!("{}:{} ", node.place.line, node.place.column);
        match &node.kind {
            Kind::Scalar(scalar) => out += &scalar.describe(),
            Kind::Sequence(items) => out = items.iter().fold(out + "[", |out, item| out + &show(item) + ", ") + "]",
            Kind::Mapping(entries) => {
                out += "{";
                for Entry { key, place, value } in entries {
                    let _ = write!(out, "{key}@{}:{} {}, ", place.line, place.column, show(value));
                }
                out += "}";
            }
        }
        out
    }

    #[test]
    fn everything_has_its_place() {
        insta::assert_snapshot!(shown("# head\na: 1\nlist:\n  - x\n  - {k: 'true', é: ~}\nb:\nc: |\n  text\n"), @r#"
2:1 {a@2:1 2:4 the number 1, list@3:1 4:3 [4:5 the text “x”, 5:5 {k@5:6 5:9 the text “true”, é@5:17 5:20 nothing, }, ], b@6:1 6:1 nothing, c@7:1 8:3 the text “text�”, }
"#);
    }

    #[test]
    fn mistakes_have_theirs() {
        let texts = [
            "a: 1\nb: 2\na: 3\nb: 4",
            "a:\n\t- b",
            "a: b: c",
            "a: [1, 2",
            "a: 1\n---\nb: 2\n",
            "a: !!str 5",
            "? [a, b]\n: c",
            "a: &x [*x]",
            "*x : 1",
            "a: *nobody",
            "a: \"unclosed",
        ];
        insta::assert_snapshot!(texts.map(shown).join("\n"), @r#"
        t:3:1: the key “a” is here a second time; the first is in line 1
        t:4:1: the key “b” is here a second time; the first is in line 2
        t:2:1: a tab cannot indent YAML: use spaces
        t:1:5: this is not valid YAML: mapping values are not allowed in this context
        t:2:1: this is not valid YAML: while parsing a flow sequence, expected ',' or ']'
        t:2:1: a second document begins here, and a file can have only one
        t:1:4: a tag (!…) cannot be used here; leave it out, and put a text in quotes
        t:1:3: a key must be a text, not a list or a mapping
        t:1:8: this alias (*…) names a value that it is a part of
        t:1:1: this is not valid YAML: while parsing node, found unknown anchor
        t:1:4: this is not valid YAML: while parsing node, found unknown anchor
        t:1:4: this is not valid YAML: while scanning a quoted scalar, found unexpected end of stream
        "#);
    }

    #[test]
    fn aliases_stand_for_their_values() {
        assert_eq!(shown("a: &x [1]\nb: *x"), "1:1 {a@1:1 1:4 [1:8 the number 1, ], b@2:1 1:4 [1:8 the number 1, ], }");
    }

    /// The processor time that this thread has used: other work on the machine does not count.
    fn used() -> Duration {
        let time = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
        Duration::new(time.tv_sec.try_into().unwrap(), time.tv_nsec.try_into().unwrap())
    }

    #[test]
    fn bombs_are_refused_quickly() {
        let mut laughs = "a0: &a0 [x, x, x, x, x, x, x, x, x]\n".to_owned();
        for level in 1..10 {
            let _ = writeln!(laughs, "a{level}: &a{level} [{}]", vec![format!("*a{}", level - 1); 9].join(", "));
        }
        let mib = 1 << 20;
        let bombs = [
            laughs,
            "[".repeat(mib),
            "{a: ".repeat(mib / 4),
            "- ".repeat(mib / 2),
            "? ".repeat(mib / 2),
            "&a ".repeat(mib / 3),
            "!a ".repeat(mib / 3),
            "\"".to_owned() + &"\\x41".repeat(mib / 4),
            "a\n".repeat(mib / 2),
            "{---".to_owned(),
            "a: &b [".repeat(1000),
            ": ".repeat(mib / 2),
            "'".repeat(mib),
            "%TAG ! !\n".repeat(mib / 9),
            "a: ".to_owned() + &"x ".repeat(mib / 2),
            "a: |\n".to_owned() + &" \n".repeat(mib / 2),
            (0..mib / 11).fold(String::new(), |mut text, n| {
                let _ = writeln!(text, "{n:07}: 1");
                text
            }),
            "[".to_owned() + &"a,".repeat(mib / 2),
            "[".to_owned() + &"a: b,".repeat(mib / 5),
            "#\n".repeat(mib / 2),
            " ".repeat(mib),
            "\n".repeat(mib),
            "- &a x\n".repeat(mib / 7),
        ];
        for bomb in bombs {
            let start = used();
            let _ = shown(&bomb);
            let took = used().saturating_sub(start).as_secs_f64();
            println!("{took:.2} s: {}", cut(&bomb));
            assert!(took < 5.0, "{took} s for {}", cut(&bomb));
        }
    }

    proptest! {
        #[test]
        fn never_panics(text in "[-a:\\[\\]{},?!&*#|>'\"%@` \n\t0-]{0,60}") {
            let _ = shown(&text);
        }
    }
}

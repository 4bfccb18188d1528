//! XML as repositories write it, read as a stream with bounds.

use std::io::BufRead;

use quick_xml::Reader;
use quick_xml::events::{BytesStart, Event};

/// The most bytes of one tag or one text between tags. The longest texts are descriptions, below 100 KB.
const PIECE_LIMIT: usize = 4 << 20;

/// How deep elements may lie in each other; those of repositories have five levels.
const DEPTH_LIMIT: usize = 32;

/// A file of metadata that cannot be read.
#[derive(Debug, thiserror::Error)]
#[error("byte {offset}{}: {problem}", package.as_ref().map(|name| format!(", package {name}")).unwrap_or_default())]
pub struct XmlError {
    /// Where in the decompressed file.
    pub offset: u64,
    /// The package that is described there, where its name is known.
    pub package: Option<String>,
    /// What is wrong.
    pub problem: String,
}

/// One step through a document: names are without their prefix (`rpm:entry` is `entry`).
pub(super) enum Step {
    Open(Element),
    Text(String),
    Close(String),
    End,
}

/// The beginning of an element.
pub(super) struct Element {
    pub(super) name: String,
    attributes: Vec<(String, String)>,
}

impl Element {
    /// The value of an attribute.
    pub(super) fn attribute(&self, name: &str) -> Option<&str> {
        self.attributes.iter().find(|(own, _)| own == name).map(|(_, value)| value.as_str())
    }
}

/// Goes through a document, forwards only.
pub(super) struct Steps<R> {
    reader: Reader<Bounded<R>>,
    buffer: Vec<u8>,
    depth: usize,
    /// The end of an element that is empty, to be told next.
    closing: Option<String>,
}

impl<R: BufRead> Steps<R> {
    pub(super) fn new(input: R) -> Self {
        Self { reader: Reader::from_reader(Bounded { input, piece: 0 }), buffer: Vec::new(), depth: 0, closing: None }
    }

    /// The error of what stands here.
    pub(super) fn error(&self, problem: impl Into<String>) -> XmlError {
        XmlError { offset: self.reader.buffer_position(), package: None, problem: problem.into() }
    }

    pub(super) fn next(&mut self) -> Result<Step, XmlError> {
        if let Some(name) = self.closing.take() {
            self.depth -= 1;
            return Ok(Step::Close(name));
        }
        loop {
            self.buffer.clear();
            self.reader.get_mut().piece = 0;
            let event = self.reader.read_event_into(&mut self.buffer);
            let offset = self.reader.buffer_position();
            let error = |problem: &dyn std::fmt::Display| XmlError { offset, package: None, problem: problem.to_string() };
            match event.map_err(|source| error(&source))? {
                event @ (Event::Start(_) | Event::Empty(_)) => {
                    let is_empty = matches!(event, Event::Empty(_));
                    let (Event::Start(start) | Event::Empty(start)) = event else { continue };
                    self.depth += 1;
                    if self.depth > DEPTH_LIMIT {
                        return Err(error(&"elements lie too deep in each other"));
                    }
                    let element = element(&start).map_err(|problem| error(&problem))?;
                    self.closing = is_empty.then(|| element.name.clone());
                    return Ok(Step::Open(element));
                }
                Event::End(end) => {
                    self.depth = self.depth.saturating_sub(1);
                    return Ok(Step::Close(end.local_name().as_ref().to_owned()));
                }
                Event::Text(text) => {
                    return Ok(Step::Text((*text).to_owned()));
                }
                // `&amp;` and the like stand between two texts.
                Event::GeneralRef(reference) => {
                    let text = quick_xml::escape::unescape(&format!("&{};", &*reference)).map_err(|source| error(&source))?.into_owned();
                    return Ok(Step::Text(text));
                }
                Event::CData(text) => {
                    return Ok(Step::Text((*text).to_owned()));
                }
                Event::DocType(_) => return Err(error(&"a document type is not wanted here")),
                Event::Eof if self.depth > 0 => return Err(error(&"the file ends in the middle")),
                Event::Eof => return Ok(Step::End),
                Event::Comment(_) | Event::Decl(_) | Event::PI(_) => {}
            }
        }
    }
}

fn element(start: &BytesStart<'_>) -> Result<Element, String> {
    let name = start.local_name().as_ref().to_owned();
    let mut attributes = Vec::new();
    for attribute in start.attributes() {
        let attribute = attribute.map_err(|error| error.to_string())?;
        let key = attribute.key.local_name().as_ref().to_owned();
        attributes.push((key, quick_xml::escape::unescape(&attribute.value).map_err(|error| error.to_string())?.into_owned()));
    }
    Ok(Element { name, attributes })
}

/// Refuses a piece that is longer than any of a repository, before it takes the memory.
struct Bounded<R> {
    input: R,
    piece: usize,
}

impl<R: BufRead> std::io::Read for Bounded<R> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        self.input.read(buffer)
    }
}

impl<R: BufRead> BufRead for Bounded<R> {
    fn fill_buf(&mut self) -> std::io::Result<&[u8]> {
        if self.piece > PIECE_LIMIT {
            return Err(std::io::Error::other("a tag or a text is too long"));
        }
        self.input.fill_buf()
    }

    fn consume(&mut self, amount: usize) {
        self.piece += amount;
        self.input.consume(amount);
    }
}

//! What `validate` shows.

use std::io;
use std::path::Path;

use image_composer::spec::{LoadError, Loaded};
use image_composer::yaml::{Diagnostic, ReadError};
use serde::{Serialize, Serializer};

use super::{Ui, data, problem, text};

/// What was found out about one spec, in the order of the command line. As JSON an element of `specs`.
#[derive(Debug, Serialize)]
pub(crate) struct Verdict {
    /// The file, as it was named.
    path: String,
    valid: bool,
    /// What a valid spec is for; not there for others.
    #[serde(flatten)]
    spec: Option<Summary>,
    /// Mistakes, in the order of the file; empty for a valid spec.
    #[serde(serialize_with = "mistakes")]
    diagnostics: Vec<Diagnostic>,
}

#[derive(Debug, Serialize)]
struct Summary {
    name: String,
    version: String,
    dist: String,
    arch: &'static str,
    /// 64 hexadecimal digits: the key of the image cache.
    spec_hash: String,
}

#[derive(Serialize)]
struct Verdicts<'a> {
    specs: &'a [Verdict],
}

/// A mistake as JSON.
#[derive(Serialize)]
struct Mistake<'a> {
    path: std::borrow::Cow<'a, str>,
    /// From 1; null where the whole file is meant.
    line: Option<usize>,
    /// In characters, from 1.
    column: Option<usize>,
    message: &'a str,
    hint: Option<&'a str>,
}

fn mistakes<S: Serializer>(diagnostics: &[Diagnostic], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_seq(diagnostics.iter().map(|Diagnostic { path, line, column, message, hint }| Mistake {
        path: path.to_string_lossy(),
        line: *line,
        column: *column,
        message,
        hint: hint.as_deref(),
    }))
}

impl Verdict {
    /// The verdict on the spec at `path`.
    pub(crate) fn new(path: &Path, loaded: &Result<Loaded, LoadError>, source_date_epoch: Option<u64>) -> Self {
        let (spec, diagnostics) = match loaded {
            Ok(loaded) => (Some(Summary::new(loaded, source_date_epoch)), Vec::new()),
            Err(LoadError::Invalid(diagnostics)) => (None, diagnostics.clone()),
            Err(LoadError::Read(error)) => {
                let message = unreadable(error, path);
                (None, vec![Diagnostic { path: path.to_owned(), line: None, column: None, message, hint: None }])
            }
        };
        Self { path: path.to_string_lossy().into_owned(), valid: spec.is_some(), spec, diagnostics }
    }

    /// Whether the spec can be built.
    pub(crate) fn is_valid(&self) -> bool {
        self.valid
    }
}

/// Why a file cannot be read, after its name.
fn unreadable(error: &ReadError, path: &Path) -> String {
    match error {
        ReadError::Io { source, .. } => format!("cannot be read: {source}"),
        _ => problem::chain(error).trim_start_matches(&*path.to_string_lossy()).trim_start().to_owned(),
    }
}

impl Summary {
    fn new(loaded: &Loaded, source_date_epoch: Option<u64>) -> Self {
        let spec = &loaded.spec;
        Self {
            name: spec.image.name.clone(),
            version: spec.image.version.clone(),
            dist: spec.target.dist.clone(),
            arch: spec.target.arch.name(),
            spec_hash: loaded.hash(source_date_epoch).to_string(),
        }
    }
}

impl Ui {
    /// Shows verdicts: a line for each valid spec, a line for each mistake of the others.
    pub(crate) fn verdicts(self, verdicts: &[Verdict], json: bool) -> io::Result<()> {
        if json {
            return data::json(&Verdicts { specs: verdicts });
        }
        let mut text = String::new();
        for verdict in verdicts {
            if let Some(spec) = &verdict.spec {
                let Summary { name, version, dist, arch, spec_hash } = spec;
                text += &text::printable(&format!("{}: ok: {name} {version} for {dist} {arch}, {}\n", verdict.path, &spec_hash[..12]));
            }
            for diagnostic in &verdict.diagnostics {
                text += &problem::line(diagnostic, self.out);
                text.push('\n');
            }
        }
        data::text(&text)
    }
}

//! What `resolve` shows.

use std::fmt::Write as _;
use std::io;

use image_composer::spec::{Origin, Resolved};
use serde::Serialize;

use super::data;

#[derive(Serialize)]
struct Document {
    spec_hash: String,
    spec: serde_json::Value,
    origins: Option<Vec<JsonLine>>,
}

#[derive(Serialize)]
struct JsonLine {
    text: String,
    file: Option<String>,
    line: Option<usize>,
    profile: Option<&'static str>,
}

/// Shows a complete spec.
pub(crate) fn resolved(resolved: &Resolved, source_date_epoch: Option<u64>, origin: bool, json: bool) -> io::Result<()> {
    let lines = resolved.lines();
    if json {
        let spec_hash = resolved.loaded.hash(source_date_epoch).to_string();
        let origins = origin.then(|| lines.into_iter().map(json_line).collect());
        return data::json(&Document { spec_hash, spec: resolved.to_json(), origins });
    }
    let mut out = String::new();
    // Comments stand in one column, but for lines that are longer.
    let width = lines.iter().map(|(text, _)| text.chars().count()).filter(|width| *width <= 60).max().unwrap_or(0);
    for (text, from) in lines {
        let written = match from.filter(|_| origin) {
            None => writeln!(out, "{text}"),
            Some(Origin::File(path, line)) => writeln!(out, "{text:width$}  # {}:{line}", path.display()),
            Some(Origin::Default(profile)) => writeln!(out, "{text:width$}  # {profile}"),
        };
        written.expect("a text can always be written to");
    }
    data::text(&out)
}

fn json_line((text, from): (String, Option<Origin>)) -> JsonLine {
    match from {
        None => JsonLine { text, file: None, line: None, profile: None },
        Some(Origin::File(path, line)) => JsonLine { text, file: Some(path.to_string_lossy().into_owned()), line: Some(line), profile: None },
        Some(Origin::Default(profile)) => JsonLine { text, file: None, line: None, profile: Some(profile) },
    }
}

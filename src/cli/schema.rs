//! `schema`: what editors check specs and configurations with.

use clap::{Args, ValueEnum};
use image_composer::{config, spec};

use super::Result;
use crate::ui;

/// Print a JSON Schema, with which editors complete and check what is written
///
/// Of the language of specs, or of config.yaml (draft 2020-12). It knows all keys and what each is for. What a schema cannot say, such as whether partitions
/// overlap, is for “validate” to find.
#[derive(Debug, Args)]
#[command(after_long_help = AFTER_LONG_HELP)]
pub(super) struct Arguments {
    /// Of what
    #[arg(value_name = "LANGUAGE", value_enum)]
    language: Language,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Language {
    /// Specs
    Spec,
    /// The configuration
    Config,
}

const AFTER_LONG_HELP: &str = "\
Examples:
  image-composer schema spec > spec.schema.json
  image-composer schema config > config.schema.json

Editors that use yaml-language-server find a schema by the first line of a file: “# yaml-language-server: $schema=spec.schema.json”.";

pub(super) fn run(arguments: &Arguments) -> Result {
    Ok(ui::schema(&match arguments.language {
        Language::Spec => spec::schema(),
        Language::Config => config::schema(),
    })?)
}

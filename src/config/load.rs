//! From files and variables to one configuration.

use std::fmt;
use std::path::{Path, PathBuf};

use super::layer::Layer;
use super::setting::{self, Origins};
use super::variables::{self, Variable};
use super::{Config, Environment, Setting};
use crate::yaml::{self, Diagnostic, ReadError, Report};

/// A configuration, and where it is from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Configuration {
    /// What holds.
    pub config: Config,
    /// The files that were read, weakest first.
    pub files: Vec<PathBuf>,
    /// What a person should know about it.
    pub warnings: Vec<Warning>,
    origins: Origins,
}

/// Something in a configuration that has no effect.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Warning {
    /// A variable that looks like ours, and that nobody reads.
    UnknownVariable {
        /// Its name.
        name: String,
        /// The one that was perhaps meant.
        near: Option<String>,
    },
}

impl fmt::Display for Warning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::UnknownVariable { name, near: None } => write!(f, "the variable {name} is not known, and has no effect"),
            Self::UnknownVariable { name, near: Some(near) } => {
                write!(f, "the variable {name} is not known, and has no effect: did you mean {near}?")
            }
        }
    }
}

/// A configuration that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// A file cannot be read.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// Files or variables have mistakes: all of them, weakest layer first, one a line. Hints are already in it.
    #[error("{}", .0.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"))]
    Invalid(Vec<Diagnostic>),
}

/// The configuration of a process in this environment; `explicit` is the file that `--config` names, which must be there.
///
/// # Errors
/// A file that cannot be read, or the mistakes of all files and variables.
pub fn load(environment: &Environment, explicit: Option<&Path>) -> Result<Configuration, ConfigError> {
    let mut found = Configuration { config: Config::default(), files: Vec::new(), warnings: Vec::new(), origins: Origins::default() };
    let mut mistakes = Vec::new();
    for path in environment.config_files() {
        match yaml::read(&path) {
            Ok(text) => found.add_file(path, &text, &mut mistakes),
            Err(error) if error.is_not_found() => {}
            Err(error) => return Err(error.into()),
        }
    }
    if let Some(path) = explicit {
        found.add_file(path.to_owned(), &yaml::read(path)?, &mut mistakes);
    }
    for (name, value) in environment.starting_with(variables::PREFIX) {
        found.add_variable(name, &value.to_string_lossy(), &mut mistakes);
    }
    if !mistakes.is_empty() {
        return Err(ConfigError::Invalid(mistakes));
    }
    Ok(found)
}

impl Configuration {
    /// Every key with the value that holds, and where that is from.
    pub fn settings(&self) -> Vec<Setting> {
        setting::settings(&self.config, &self.origins)
    }

    fn add_file(&mut self, path: PathBuf, text: &str, mistakes: &mut Vec<Diagnostic>) {
        let report = Report::new(&path);
        if let Some(root) = yaml::parse(text, &report) {
            self.origins.of_file(&root, &path);
            Layer::read(&root, path.parent().unwrap_or(Path::new("")), &report).apply(&mut self.config);
        }
        mistakes.extend(report.into_diagnostics());
        self.files.push(path);
    }

    fn add_variable(&mut self, name: &str, text: &str, mistakes: &mut Vec<Diagnostic>) {
        match variables::variable(name, text) {
            Variable::Other => {}
            Variable::Unknown(near) => self.warnings.push(Warning::UnknownVariable { name: name.to_owned(), near }),
            Variable::Key(root) => {
                self.origins.of_variable(&root, name);
                let report = Report::new(Path::new(name));
                Layer::read(&root, Path::new(""), &report).apply(&mut self.config);
                // A variable has one value and no lines.
                mistakes.extend(report.into_diagnostics().into_iter().map(|mistake| Diagnostic { line: None, column: None, ..mistake }));
            }
        }
    }
}

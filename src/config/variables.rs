//! `IMAGE_COMPOSER_…`: variables of the environment as documents of one value.

use super::layer::archive_ids;
use crate::yaml::{Entry, Kind, Node, Place, Scalar};

/// What all of our variables begin with.
pub(super) const PREFIX: &str = "IMAGE_COMPOSER_";

/// The variables that are no keys of the configuration.
const OTHERS: [&str; 2] = ["IMAGE_COMPOSER_STORE", "IMAGE_COMPOSER_LOCK_TIMEOUT"];

/// How a variable's text becomes a value.
#[derive(Clone, Copy)]
pub(super) enum Form {
    /// As in a file, without quotes.
    Plain,
    /// Always a text.
    Text,
    /// Texts that spaces separate.
    List,
    /// More than a text can say: no variable.
    FileOnly,
}

/// What a variable is.
pub(super) enum Variable {
    /// A document that says the same.
    Key(Node),
    /// Read elsewhere.
    Other,
    /// Nobody reads it; perhaps this one was meant.
    Unknown(Option<String>),
}

/// What the variable `name` with this text is.
pub(super) fn variable(name: &str, text: &str) -> Variable {
    if OTHERS.contains(&name) {
        return Variable::Other;
    }
    let mut keys = keys();
    keys.retain(|(_, form)| !matches!(form, Form::FileOnly));
    let name_of = |path: &[&str]| PREFIX.to_owned() + &path.join("_").replace('-', "_").to_uppercase();
    if let Some((path, form)) = keys.iter().find(|(path, _)| name_of(path) == name) {
        return Variable::Key(document(path, *form, text));
    }
    let names: Vec<String> = keys.iter().map(|(path, _)| name_of(path)).chain(OTHERS.map(str::to_owned)).collect();
    Variable::Unknown(crate::yaml::nearest(name, names.iter().map(String::as_str)).map(str::to_owned))
}

pub(super) fn keys() -> Vec<(Vec<&'static str>, Form)> {
    let mut keys = vec![
        (vec!["storage", "package_cache", "enabled"], Form::Plain),
        (vec!["storage", "package_cache", "max_size_gb"], Form::Plain),
        (vec!["storage", "package_cache", "retention_days"], Form::Plain),
        (vec!["storage", "image_cache", "enabled"], Form::Plain),
        (vec!["storage", "image_cache", "max_count"], Form::Plain),
        (vec!["storage", "image_cache", "max_size_gb"], Form::Plain),
        (vec!["storage", "image_cache", "retention_days"], Form::Plain),
        (vec!["storage", "root_cache", "enabled"], Form::Plain),
        (vec!["storage", "root_cache", "max_count"], Form::Plain),
        (vec!["storage", "root_cache", "retention_days"], Form::Plain),
        (vec!["storage", "min_free_gb"], Form::Plain),
        (vec!["storage", "compression_level"], Form::Plain),
        (vec!["workers"], Form::Plain),
        (vec!["proxy"], Form::Text),
        (vec!["tls", "ca_file"], Form::Text),
        (vec!["tls", "certificates"], Form::FileOnly),
    ];
    for id in archive_ids() {
        keys.push((vec!["mirrors", id], Form::List));
        keys.push((vec!["keyrings", id], Form::Text));
    }
    keys
}

/// The document in which `path` has the value, and nothing else is.
fn document(path: &[&str], form: Form, text: &str) -> Node {
    let place = Place::START;
    let scalar = |scalar| Node { place, kind: Kind::Scalar(scalar) };
    let value = match form {
        Form::Plain => scalar(Scalar::plain(text)),
        Form::Text | Form::FileOnly => scalar(Scalar::Text(text.to_owned())),
        Form::List => {
            let items = text.split_ascii_whitespace().map(|item| scalar(Scalar::Text(item.to_owned()))).collect();
            Node { place, kind: Kind::Sequence(items) }
        }
    };
    let wrap = |value, key: &&str| Node { place, kind: Kind::Mapping(vec![Entry { key: (*key).to_owned(), place, value }]) };
    path.iter().rev().fold(value, wrap)
}

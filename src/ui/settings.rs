//! What `config show` shows.

use std::io;

use image_composer::config::Setting;
use serde::Serialize;

use super::stream::Stream;
use super::table::{Align, tabbed, table};
use super::{Ui, data, text};

#[derive(Serialize)]
struct Document<'a> {
    settings: &'a [Setting],
}

impl Ui {
    /// Shows the configuration, a key a line.
    pub(crate) fn settings(self, settings: &[Setting], json: bool) -> io::Result<()> {
        if json {
            return data::json(&Document { settings });
        }
        data::text(&list(settings, self.out))
    }
}

fn list(settings: &[Setting], stream: Stream) -> String {
    let row = |Setting { key, value, origin }: &Setting| {
        let value = match value {
            serde_json::Value::Null => "none".to_owned(),
            serde_json::Value::Array(items) if items.is_empty() => "none".to_owned(),
            serde_json::Value::String(text) => text.clone(),
            // Of what is more than a text, such as a certificate, the host that it is for.
            serde_json::Value::Array(items) => {
                items.iter().filter_map(|item| item.as_str().or_else(|| item["host"].as_str())).collect::<Vec<_>>().join(" ")
            }
            other => other.to_string(),
        };
        [key.clone(), value, origin.to_string()].map(|cell| text::printable(&cell).replace(['\t', '\n'], " "))
    };
    let rows: Vec<_> = settings.iter().map(row).collect();
    if stream.terminal { table([("KEY", Align::Left), ("VALUE", Align::Left), ("FROM", Align::Left)], &rows, stream) } else { tabbed(&rows) }
}

#[cfg(test)]
mod tests {
    use image_composer::config::Origin;
    use serde_json::json;

    use super::*;

    #[test]
    fn a_line_for_each_key() {
        let setting = |key: &str, value, origin| Setting { key: key.to_owned(), value, origin };
        let settings = [
            setting("workers", json!(4), Origin::File { path: "/etc/a\u{1b}.yaml".into(), line: 3 }),
            setting("mirrors.debian", json!(["http://a", "http://b"]), Origin::Variable { name: "IMAGE_COMPOSER_MIRRORS_DEBIAN".to_owned() }),
            setting("proxy", json!(null), Origin::BuiltIn),
            setting("tls.certificates", json!([{"host": "repo.example", "cert": "/us.pem", "key": "/us.key"}]), Origin::BuiltIn),
            setting("tls.certificates", json!([]), Origin::BuiltIn),
        ];
        let expected = "workers\t4\t/etc/a\\u{1b}.yaml:3\nmirrors.debian\thttp://a http://b\tIMAGE_COMPOSER_MIRRORS_DEBIAN\nproxy\tnone\tbuilt-in\n\
                        tls.certificates\trepo.example\tbuilt-in\ntls.certificates\tnone\tbuilt-in\n";
        assert_eq!(list(&settings, Stream::PLAIN), expected);
    }
}

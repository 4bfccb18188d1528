//! `tls`: files of certificates and keys.

use std::path::{Path, PathBuf};

use reqwest::Url;

use super::layer::file;
use crate::fetch::ClientCertificate;
use crate::yaml::{Field, Fields};

/// The most certificates that a configuration may name.
const MOST: usize = 100;

/// What a layer says of `tls`.
#[derive(Default)]
pub(super) struct TlsLayer {
    pub(super) ca_file: Option<PathBuf>,
    pub(super) certificates: Option<Vec<ClientCertificate>>,
}

impl TlsLayer {
    pub(super) fn read(mut fields: Fields<'_>, folder: &Path) -> Self {
        let path = |field: &Field<'_>| file(field, folder, "must be the path of a file with certificates in PEM");
        let ca_file = fields.optional("ca_file").and_then(|field| path(&field));
        let certificates = fields.optional("certificates").and_then(|field| certificates(&field, folder));
        fields.finish();
        Self { ca_file, certificates }
    }
}

fn certificates(field: &Field<'_>, folder: &Path) -> Option<Vec<ClientCertificate>> {
    let items = field.list()?;
    if items.len() > MOST {
        field.error(&format!("has more than {MOST} entries"));
        return None;
    }
    let mut found: Vec<ClientCertificate> = Vec::new();
    for item in &items {
        let Some(certificate) = item.fields().and_then(|fields| certificate(fields, folder)) else { continue };
        if found.iter().any(|other| other.host == certificate.host) {
            item.error_with_hint(&format!("is a second certificate for {}", certificate.host), "leave one of them out");
        }
        found.push(certificate);
    }
    Some(found)
}

fn certificate(mut fields: Fields<'_>, folder: &Path) -> Option<ClientCertificate> {
    let host = fields.required("host").and_then(|field| host(&field));
    let cert = fields.required("cert").and_then(|field| file(&field, folder, "must be the path of a file with a certificate in PEM"));
    let key = fields.optional("key").map(|field| file(&field, folder, "must be the path of a file with a private key in PEM"));
    fields.finish();
    let cert = cert?;
    Some(ClientCertificate { host: host?, key: key.unwrap_or_else(|| Some(cert.clone()))?, cert })
}

/// A host as addresses have it.
fn host(field: &Field<'_>) -> Option<String> {
    let text = field.secret()?.value;
    let url = Url::parse(&format!("https://{text}/")).ok();
    let host = url.as_ref().and_then(Url::host_str).filter(|host| host.eq_ignore_ascii_case(&text));
    if host.is_none() {
        field.error_with_hint("is not the name of a host", "write it as in the addresses of its repositories, and nothing else: repo.example");
    }
    host.map(str::to_owned)
}

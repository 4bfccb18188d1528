//! `systemConfig.users`.

use std::collections::BTreeMap;

use super::{checked, checked_list};
use crate::spec::draft::UserDraft;
use crate::spec::names;
use crate::spec::password::{Algorithm, PasswordError, Written};
use crate::yaml::{Field, Fields};

/// The longest age of a password in days: what Debian writes for “never”, and more than `/etc/shadow` needs.
const MAX_AGE_LIMIT: i64 = 99_999;

pub(super) fn read(field: &Field<'_>) -> Vec<UserDraft> {
    let mut users = Vec::new();
    let mut seen = BTreeMap::new();
    for item in field.list().unwrap_or_default() {
        let Some(user) = read_user(&item) else { continue };
        if let Some(first) = seen.insert(user.name.clone(), item.place()) {
            item.error(&format!("is a second user “{}”; the first is in {}", user.name, item.line_of(first)));
        }
        users.push(user);
    }
    users
}

fn read_user(item: &Field<'_>) -> Option<UserDraft> {
    let mut fields = item.fields()?;
    fields.refuse("sshAuthorizedKeysFiles", "write the keys into sshAuthorizedKeys");
    let name = fields.required("name").and_then(|field| checked(&field, names::user));
    let algorithm_field = fields.optional("hash_algo");
    let algorithm = algorithm_field.as_ref().map(|field| field.one_of(&Algorithm::NAMES, &[]));
    let password = fields.optional("password").map(|field| (field.secret(), field));
    let groups = fields.optional("groups").map(|field| checked_list(&field, names::group)).unwrap_or_default();
    let sudo = fields.optional("sudo").and_then(|field| field.boolean()).is_some_and(|located| located.value);
    let home_field = fields.optional("home");
    let home = home_field.as_ref().and_then(|field| checked(field, names::passwd_path));
    let shell = login_program(&mut fields);
    let password_max_age = fields.optional("passwordMaxAge").and_then(|field| field.integer(0, MAX_AGE_LIMIT)).map(|located| located.value);
    let keys = fields.optional("sshAuthorizedKeys").map(|field| ssh_keys(&field)).unwrap_or_default();
    fields.finish();

    let name = name?;
    if let Some(field) = home_field.filter(|_| name == "root" && home.as_deref() != Some("/root")) {
        field.error_with_hint("cannot be given for root", "leave it out: it is /root");
    }
    // A wrong algorithm is reported already: what it would have meant for the password is unknown.
    let password = match (password, algorithm) {
        (Some((Some(text), field)), None) => read_password(&field, &text.value, None),
        (Some((Some(text), field)), Some(Some(algorithm))) => read_password(&field, &text.value, Some(algorithm.value)),
        _ => None,
    };
    // As in the language's other programs, which cannot tell 0 from a field that is not there.
    let password_max_age = password_max_age.and_then(|days| u32::try_from(days).ok()).filter(|days| *days > 0);
    let home = home.filter(|_| name != "root");
    Some(UserDraft { name, password, password_max_age, groups, sudo, home, shell, ssh_authorized_keys: keys })
}

/// What runs when the user logs in: the `shell`, or a `startupScript`, which the language puts in its place in `/etc/passwd`.
fn login_program(fields: &mut Fields<'_>) -> Option<String> {
    let script = fields.optional("startupScript");
    let shell = fields.optional("shell");
    if let (Some(script), Some(_)) = (&script, &shell) {
        script.error_with_hint("is what runs at a login, and so is shell", "give one of them; a script can end with “exec bash”");
    }
    script.or(shell).and_then(|field| checked(&field, names::passwd_path))
}

fn read_password(field: &Field<'_>, text: &str, algorithm: Option<Algorithm>) -> Option<Written> {
    match Written::new(text, algorithm) {
        Ok(written) => written,
        Err(error) => {
            let problem = error.to_string();
            match error {
                PasswordError::CannotHash => field.error_with_hint(&problem, "give the hash itself, or write hash_algo: sha512"),
                PasswordError::BrokenHash => field.error_with_hint(&problem, "copy it whole, as mkpasswd prints it, in single quotes"),
                _ => field.error(&problem),
            }
            None
        }
    }
}

/// Lines of `authorized_keys`. A private key is refused without a word of it.
fn ssh_keys(field: &Field<'_>) -> Vec<String> {
    let key = |item: &Field<'_>| {
        let text = item.secret()?.value;
        let line = text.trim();
        if line.contains("PRIVATE KEY") {
            item.error_with_hint("is a private key", "give the public one, the line in the file that ends with .pub");
            return None;
        }
        let kind = |word: &str| ["ssh-", "ecdsa-sha2-", "sk-ssh-", "sk-ecdsa-"].iter().any(|prefix| word.starts_with(prefix));
        if line.contains(char::is_control) || line.len() > 16 << 10 || !line.split(' ').any(kind) {
            item.error_with_hint("is not a public key of one line", "it looks like “ssh-ed25519 AAAA… comment”");
            return None;
        }
        Some(line.to_owned())
    };
    field.list().unwrap_or_default().iter().filter_map(key).collect()
}

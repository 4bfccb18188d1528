//! What the system in an image is: its name, and who may use it.

use serde::Serialize;

use super::disk::Disk;
use super::problem::Result;

/// The longest file that is read, in bytes.
const LIMIT: u64 = 4 << 20;

/// Users that are told at most.
const USERS_LIMIT: usize = 10_000;

/// `/etc/os-release`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Os {
    /// `debian`.
    pub id: String,
    /// `12`; empty where it says none.
    pub version: String,
    /// `Debian GNU/Linux 12 (bookworm)`.
    pub name: String,
}

/// A line of `/etc/passwd`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct User {
    /// What the user is called.
    pub name: String,
    /// The user's number.
    pub uid: u32,
    /// The number of the user's own group.
    pub gid: u32,
    /// The home folder.
    pub home: String,
    /// What runs at a login.
    pub shell: String,
    /// Whether there is a password; none where nothing says so.
    pub password: Option<Password>,
}

/// What is known of a password. The password itself, and what is made of it, is never told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Password {
    /// There is one.
    Set,
    /// No password is the right one.
    Locked,
    /// None is needed.
    Empty,
}

impl Password {
    fn of(field: &str) -> Self {
        match field.chars().next() {
            None => Self::Empty,
            Some('!' | '*') => Self::Locked,
            Some(_) => Self::Set,
        }
    }
}

impl User {
    /// Whether the user gets a shell at a login.
    pub fn can_log_in(&self) -> bool {
        !["nologin", "false", "sync", "shutdown", "halt"].contains(&self.shell.rsplit('/').next().unwrap_or_default())
    }
}

fn text(disk: &Disk<'_>, path: &str) -> Result<Option<String>> {
    Ok(disk.read_file(path.as_bytes(), LIMIT)?.map(|bytes| String::from_utf8_lossy(&bytes).into_owned()))
}

pub(super) fn os(disk: &Disk<'_>) -> Result<Option<Os>> {
    let found = match text(disk, "/etc/os-release")? {
        None => text(disk, "/usr/lib/os-release")?,
        found => found,
    };
    let Some(found) = found else { return Ok(None) };
    let value = |key: &str| {
        let line = found.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix('='));
        line.map(|value| value.trim().trim_matches(['"', '\'']).to_owned()).unwrap_or_default()
    };
    Ok(Some(Os { id: value("ID"), version: value("VERSION_ID"), name: value("PRETTY_NAME") }))
}

pub(super) fn hostname(disk: &Disk<'_>) -> Result<Option<String>> {
    let found = text(disk, "/etc/hostname")?;
    Ok(found.and_then(|text| text.lines().map(str::trim).find(|line| !line.is_empty() && !line.starts_with('#')).map(str::to_owned)))
}

pub(super) fn users(disk: &Disk<'_>) -> Result<Vec<User>> {
    let (passwd, shadow) = (text(disk, "/etc/passwd")?.unwrap_or_default(), text(disk, "/etc/shadow")?);
    let second =
        |line: &str, name: &str| line.split_once(':').filter(|(own, _)| *own == name).map(|(_, rest)| rest.split(':').next().map(Password::of));
    let user = |line: &str| {
        let fields: Vec<&str> = line.split(':').collect();
        let [name, password, uid, gid, _, home, shell] = fields.as_slice() else { return None };
        let password = match *password {
            "x" => shadow.as_ref().and_then(|shadow| shadow.lines().find_map(|line| second(line, name)).flatten()),
            other => Some(Password::of(other)),
        };
        let shell = if shell.is_empty() { "/bin/sh" } else { shell };
        Some(User {
            name: (*name).to_owned(),
            uid: uid.parse().ok()?,
            gid: gid.parse().ok()?,
            home: (*home).to_owned(),
            shell: shell.to_owned(),
            password,
        })
    };
    Ok(passwd.lines().filter_map(user).take(USERS_LIMIT).collect())
}

//! What the Windows Subsystem for Linux reads of a system: `/etc/wsl.conf`
//! (<https://learn.microsoft.com/windows/wsl/wsl-config>, settings of a distribution).

use super::Error;
use super::plan::Plan;
use crate::tree::Tree;

/// Has the system started as it would start on a machine: by systemd, under its own name, for the first user of the spec that is not root.
pub(super) fn set_up(tree: &Tree, plan: &Plan) -> Result<(), Error> {
    let user = plan.users.iter().map(|user| user.name.as_str()).find(|name| *name != "root");
    let settings = settings(&plan.hostname, user, tree.exists("usr/lib/systemd/systemd"));
    Ok(tree.write("etc/wsl.conf", settings.as_bytes(), 0o644)?)
}

fn settings(hostname: &str, user: Option<&str>, systemd: bool) -> String {
    let user = user.map_or_else(String::new, |name| format!("\n[user]\ndefault={name}\n"));
    format!("[boot]\nsystemd={systemd}\n\n[network]\nhostname={hostname}\n{user}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn systemd_starts_the_system_where_it_is_there() {
        assert_eq!(settings("edge", None, false), "[boot]\nsystemd=false\n\n[network]\nhostname=edge\n");
        assert_eq!(settings("edge", Some("anna"), true), "[boot]\nsystemd=true\n\n[network]\nhostname=edge\n\n[user]\ndefault=anna\n");
    }
}

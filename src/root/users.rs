//! The spec's users in the tree.

use std::path::Path;

use super::Error;
use super::plan::User;
use super::sandbox::Cell;
use crate::progress::Cancel;
use crate::tree::Tree;

/// Makes a user, or changes one that a package has made.
pub(super) fn make(tree: &Tree, cell: &Cell<'_>, user: &User, cancel: &Cancel) -> Result<(), Error> {
    let run = |command: &[&str], input: &[u8]| cell.run(&format!("{} for user {}", command[0], user.name), command, input, &mut |_| {}, cancel);
    let groups = user.groups.join(",");
    if account(tree, &user.name)?.is_some() {
        for (option, value) in [("--home", &user.home), ("--shell", &user.shell)] {
            if let Some(value) = value {
                run(&["usermod", option, value, &user.name], b"")?;
            }
        }
    } else {
        let shell = user.shell.as_deref().unwrap_or("/bin/bash");
        let mut command = vec!["useradd", "--create-home", "--shell", shell];
        // A group of that name can be there: Debian has one called operator, and a spec's users can be in each other's.
        if has_group(tree, &user.name)? {
            command.extend(["--gid", &user.name]);
        } else {
            command.push("--user-group");
        }
        if let Some(home) = &user.home {
            command.extend(["--home-dir", home]);
        }
        command.push(&user.name);
        run(&command, b"")?;
    }
    for group in &user.groups {
        if !has_group(tree, group)? {
            // Of the system's numbers, as packages that come later would make it: those above belong to people.
            run(&["groupadd", "--system", group], b"")?;
        }
    }
    if !groups.is_empty() {
        run(&["usermod", "--append", "--groups", &groups, &user.name], b"")?;
    }
    // The hash goes through a pipe: a command line can be read by others.
    let password = user.password.as_ref().map_or("!", |hash| hash.0.as_str());
    run(&["chpasswd", "--encrypted"], format!("{}:{password}\n", user.name).as_bytes())?;
    if let Some(days) = user.password_max_age {
        run(&["chage", "--maxdays", &days.to_string(), &user.name], b"")?;
    }
    if user.sudo {
        if !tree.exists("usr/bin/sudo") {
            return Err(Error::Unfulfilled {
                problem: format!("user {} has “sudo: true”, but the image has no sudo", user.name),
                hint: "add “sudo” to systemConfig.packages".to_owned(),
            });
        }
        tree.write(format!("etc/sudoers.d/90-{}", user.name), format!("{} ALL=(ALL:ALL) NOPASSWD: ALL\n", user.name).as_bytes(), 0o440)?;
    }
    if !user.ssh_authorized_keys.is_empty() {
        authorize(tree, user)?;
    }
    Ok(())
}

fn authorize(tree: &Tree, user: &User) -> Result<(), Error> {
    let unknown = || Error::Unfulfilled {
        problem: format!("user {} has no line in /etc/passwd after it was made", user.name),
        hint: "see whether a package of the spec replaces useradd".to_owned(),
    };
    let (uid, gid, home) = account(tree, &user.name)?.ok_or_else(unknown)?;
    let dir = Path::new(&home).join(".ssh");
    let file = dir.join("authorized_keys");
    let mut keys: String = user.ssh_authorized_keys.iter().map(|key| key.trim()).collect::<Vec<_>>().join("\n");
    keys.push('\n');
    tree.write(&file, keys.as_bytes(), 0o600)?;
    tree.set_mode(&dir, 0o700)?;
    for path in [&dir, &file] {
        tree.set_owner(path, uid, gid)?;
    }
    Ok(())
}

/// Whether the group is in the tree.
fn has_group(tree: &Tree, name: &str) -> Result<bool, Error> {
    Ok(tree.read_text("etc/group")?.lines().any(|line| line.split(':').next() == Some(name)))
}

/// What a user shall run at a login must be there when everything else is: a mistyped path would lock the user out.
pub(super) fn check_login_programs(tree: &Tree, users: &[User]) -> Result<(), Error> {
    for User { name, shell, .. } in users {
        let Some(shell) = shell else { continue };
        let problem = match tree.permissions(shell)? {
            None => "is not in the image",
            Some(mode) if mode & 0o111 == 0 => "cannot be executed",
            Some(_) => continue,
        };
        return Err(Error::Unfulfilled {
            problem: format!("user {name} shall run {shell} at a login, and that {problem}"),
            hint: "name a package that has it, or bring it with additionalFiles and mode 755".to_owned(),
        });
    }
    Ok(())
}

/// The numbers of an owner, `user` or `user:group`, by names of the tree or by numbers. `whose` is what shall belong to it.
pub(super) fn owner(tree: &Tree, owner: &str, whose: &str) -> Result<(u32, u32), Error> {
    let missing = |what: &str| Error::Unfulfilled {
        problem: format!("{whose} shall belong to “{owner}”, and the image has no {what}"),
        hint: "make it with users or a package, or write user and group as numbers, 1000:1000".to_owned(),
    };
    let (user, group) = owner.split_once(':').map_or((owner, None), |(user, group)| (user, Some(group)));
    let account = line_of(&tree.read_text("etc/passwd")?, user);
    let number = |line: &Option<Vec<String>>, place: usize| line.as_ref()?.get(place)?.parse::<u32>().ok();
    let user = user.parse().ok().or_else(|| number(&account, 2)).ok_or_else(|| missing("such user"))?;
    let Some(group) = group else {
        return Ok((user, number(&account, 3).ok_or_else(|| missing("user with that number, whose group it could have"))?));
    };
    let found = line_of(&tree.read_text("etc/group")?, group);
    Ok((user, group.parse().ok().or_else(|| number(&found, 2)).ok_or_else(|| missing("such group"))?))
}

/// The words of the line of `/etc/passwd` or `/etc/group` that has this name or number.
fn line_of(text: &str, name: &str) -> Option<Vec<String>> {
    let mut lines = text.lines().map(|line| line.split(':').map(str::to_owned).collect::<Vec<_>>());
    let place = if name.bytes().all(|byte| byte.is_ascii_digit()) { 2 } else { 0 };
    lines.find(|words| words.get(place).is_some_and(|word| word == name))
}

/// Numbers and home directory of a user of the tree.
fn account(tree: &Tree, name: &str) -> Result<Option<(u32, u32, String)>, Error> {
    Ok(tree.read_text("etc/passwd")?.lines().find_map(|line| {
        let words: Vec<&str> = line.split(':').collect();
        match words[..] {
            [user, _, uid, gid, _, home, _] if user == name => Some((uid.parse().ok()?, gid.parse().ok()?, home.to_owned())),
            _ => None,
        }
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn user(shell: &str) -> User {
        User {
            name: "alice".to_owned(),
            password: None,
            password_max_age: None,
            groups: Vec::new(),
            sudo: false,
            home: None,
            shell: Some(shell.to_owned()),
            ssh_authorized_keys: Vec::new(),
        }
    }

    #[test]
    fn nobody_is_locked_out_by_a_login_program_that_is_not_there() {
        let root = tempfile::tempdir().unwrap();
        let tree = Tree::open(root.path()).unwrap();
        tree.write("usr/bin/sh", b"", 0o755).unwrap();
        tree.symlink("usr/bin", "bin").unwrap();
        tree.write("opt/start", b"", 0o644).unwrap();
        assert!(check_login_programs(&tree, &[user("/bin/sh")]).is_ok());
        let told = |shell: &str| check_login_programs(&tree, &[user(shell)]).unwrap_err().to_string();
        assert_eq!(told("/opt/start"), "user alice shall run /opt/start at a login, and that cannot be executed");
        assert_eq!(told("/opt/stop"), "user alice shall run /opt/stop at a login, and that is not in the image");
    }

    #[test]
    fn a_group_is_found_by_its_whole_name() {
        let root = tempfile::tempdir().unwrap();
        let tree = Tree::open(root.path()).unwrap();
        tree.write("etc/group", b"root:x:0:\ndockers:x:990:docker\n", 0o644).unwrap();
        assert!(has_group(&tree, "root").unwrap() && has_group(&tree, "dockers").unwrap());
        assert!(!has_group(&tree, "docker").unwrap());
    }
}

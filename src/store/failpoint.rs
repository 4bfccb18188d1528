//! Fail points: places where a debug build dies or fails as told, so that tests can cut every operation off at every step.
//!
//! `IMAGE_COMPOSER_FAILPOINT=NAME=ACTION[@N]` arms the points of that name, or all of them where it is `*`. At the N-th passing (the first, unless told),
//! counted over all threads, the action is done: `abort` ends the process as SIGKILL does, `enospc` and `eio` are errors of the operating system. So
//! `*=enospc@N` for N from 1 on, until the operation succeeds, is a disk that is full at every step. Release builds have no code for any of this.

/// A step that can fail. Stands before the step that it is named after, or after it where the name is a participle.
macro_rules! failpoint {
    ($name:literal) => {
        #[cfg(debug_assertions)]
        $crate::store::failpoint::pass($name)?;
    };
}
pub(crate) use failpoint;

#[cfg(debug_assertions)]
pub(crate) use armed::pass;

#[cfg(debug_assertions)]
mod armed {
    use std::io;
    use std::path::Path;
    use std::sync::LazyLock;
    use std::sync::atomic::{AtomicU32, Ordering};

    use rustix::io::Errno;
    use rustix::process::{Signal, getpid, kill_process};

    use crate::store::error::{Error, Result};

    /// Says what fails where.
    const VARIABLE: &str = "IMAGE_COMPOSER_FAILPOINT";

    static SETTING: LazyLock<Option<Result<Setting, String>>> = LazyLock::new(|| {
        let text = std::env::var_os(VARIABLE)?;
        Some(text.to_str().and_then(Setting::parse).ok_or_else(|| format!("{VARIABLE} is “{}”", text.to_string_lossy())))
    });

    static PASSED: AtomicU32 = AtomicU32::new(0);

    #[derive(Debug, PartialEq, Eq)]
    struct Setting {
        name: String,
        action: Action,
        at: u32,
    }

    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    enum Action {
        Abort,
        Fail(Errno),
    }

    impl Setting {
        fn parse(text: &str) -> Option<Self> {
            let (name, action) = text.split_once('=')?;
            let (action, at) = action.split_once('@').map_or(Some((action, 1)), |(action, at)| Some((action, at.parse().ok()?)))?;
            let action = match action {
                "abort" => Action::Abort,
                "enospc" => Action::Fail(Errno::NOSPC),
                "eio" => Action::Fail(Errno::IO),
                _ => return None,
            };
            Some(Self { name: name.to_owned(), action, at })
        }
    }

    /// Passes the point `name`: does what the environment says, and nothing where it says nothing.
    pub(crate) fn pass(name: &'static str) -> Result<()> {
        let setting = match &*SETTING {
            None => return Ok(()),
            Some(Ok(setting)) => setting,
            Some(Err(mistake)) => return Err(Error::io("use", Path::new(name))(io::Error::other(mistake.clone()))),
        };
        if (setting.name != "*" && setting.name != name) || PASSED.fetch_add(1, Ordering::Relaxed) + 1 != setting.at {
            return Ok(());
        }
        match setting.action {
            Action::Fail(errno) => Err(Error::io("pass", Path::new(name))(errno.into())),
            Action::Abort => {
                // Should the signal not come, the process must end all the same.
                let _ = kill_process(getpid(), Signal::KILL);
                std::process::abort()
            }
        }
    }

    #[cfg(test)]
    mod tests {
        use super::*;

        #[test]
        fn settings_name_a_point_an_action_and_a_passing() {
            let setting = |name: &str, action, at| Some(Setting { name: name.to_owned(), action, at });
            assert_eq!(Setting::parse("store::blob::write=abort"), setting("store::blob::write", Action::Abort, 1));
            assert_eq!(Setting::parse("*=enospc@12"), setting("*", Action::Fail(Errno::NOSPC), 12));
            assert_eq!(Setting::parse("a=eio@1"), setting("a", Action::Fail(Errno::IO), 1));
            for wrong in ["", "abort", "a=", "a=stop", "a=eio@", "a=eio@-1"] {
                assert_eq!(Setting::parse(wrong), None, "{wrong}");
            }
        }
    }
}

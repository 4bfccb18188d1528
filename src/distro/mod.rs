//! Built-in profiles: what “debian12” means.
//!
//! A profile is static data: which archives there are, who signs them, and which packages make a minimal system that boots. The
//! addresses of mirrors come from the host or from the configuration; only RPM distributions have published ones.

mod machine;
mod profile;
mod profiles;
mod rpm;

pub use machine::{Architecture, BootProvider};
pub use profile::{Keyring, Profile, ProfileArchive};
pub use profiles::PROFILES;

pub use crate::root::Packaging;

/// The profile of that name (`debian12`).
pub fn find(name: &str) -> Option<&'static Profile> {
    PROFILES.iter().find(|profile| profile.name == name)
}

/// The names of all profiles, sorted.
pub fn names() -> impl Iterator<Item = &'static str> {
    PROFILES.iter().map(|profile| profile.name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn profiles_are_found_by_name() {
        for profile in PROFILES {
            assert_eq!(find(profile.name), Some(profile));
        }
        assert_eq!(find("debian11"), None);
        assert!(names().is_sorted());
    }

    #[test]
    fn profiles_are_complete() {
        for profile in PROFILES {
            assert!(!profile.architectures.is_empty() && !profile.archives.is_empty());
            assert!(profile.base_packages.is_sorted(), "{}", profile.name);
            if profile.packaging == Packaging::Rpm {
                assert!(profile.archives.iter().flat_map(|archive| archive.suites).all(|path| path.ends_with('/')), "{}", profile.name);
                continue;
            }
            // systemd 256 of Debian moved it out of the package systemd.
            let growing = if profile.name == "debian13" { "systemd-repart" } else { "systemd" };
            assert_eq!(profile.growing, [growing], "{}", profile.name);
            for &architecture in profile.architectures {
                assert!(!profile.kernel_packages(architecture).is_empty());
                for provider in [BootProvider::SystemdBoot, BootProvider::Grub] {
                    assert!(!profile.boot_packages(architecture, provider).is_empty());
                }
            }
            for archive in profile.archives {
                assert!(archive.suites.iter().all(|suite| suite.starts_with(profile.codename)), "{}", archive.id);
                assert!(archive.keyring.path.starts_with("/usr/share/keyrings/"));
                assert!(!archive.components.is_empty());
            }
        }
    }
}

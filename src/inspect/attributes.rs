//! Extended attributes in words.

use std::fmt::Write as _;

use serde::Serialize;

use super::node::Attributes;
use crate::digest::Digest;
use crate::format::number::{long, short};

/// A value that is no longer than this is shown whole.
const SHOWN: usize = 64;

/// An extended attribute.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Attribute {
    /// `security.capability`, `user.note`.
    pub name: String,
    /// Capabilities as `getcap(8)` has them; other values as text or, from `0x` on, in hexadecimal; of a long one its length and its BLAKE3 digest.
    pub value: String,
}

/// All of a name's.
pub(super) fn shown(attributes: &Attributes) -> Vec<Attribute> {
    let attribute = |(name, value): (&Vec<u8>, &Vec<u8>)| {
        let capabilities = if name == b"security.capability" { capabilities(value) } else { None };
        Attribute { name: String::from_utf8_lossy(name).into_owned(), value: capabilities.unwrap_or_else(|| text(value)) }
    };
    attributes.iter().map(attribute).collect()
}

fn text(value: &[u8]) -> String {
    if value.len() > SHOWN {
        return format!("{} bytes, BLAKE3 {}", value.len(), Digest::of(value));
    }
    // What is text by nature may end with a zero byte (security labels do). What text could be mistaken for is no text.
    let (text, end) = value.strip_suffix(&[0]).map_or((value, ""), |text| (text, "\\0"));
    let is_text = |byte: &u8| (byte.is_ascii_graphic() || *byte == b' ') && *byte != b'\\';
    match String::from_utf8_lossy(text) {
        plain if !text.starts_with(b"0x") && text.iter().all(is_text) => format!("{plain}{end}"),
        _ => value.iter().fold("0x".to_owned(), |mut text, byte| {
            // Writing into a string cannot fail.
            let _ = write!(text, "{byte:02x}");
            text
        }),
    }
}

/// The names of `linux/capability.h`, from bit 0 on.
const CAPABILITIES: [&str; 41] = [
    "chown",
    "dac_override",
    "dac_read_search",
    "fowner",
    "fsetid",
    "kill",
    "setgid",
    "setuid",
    "setpcap",
    "linux_immutable",
    "net_bind_service",
    "net_broadcast",
    "net_admin",
    "net_raw",
    "ipc_lock",
    "ipc_owner",
    "sys_module",
    "sys_rawio",
    "sys_chroot",
    "sys_ptrace",
    "sys_pacct",
    "sys_admin",
    "sys_boot",
    "sys_nice",
    "sys_resource",
    "sys_time",
    "sys_tty_config",
    "mknod",
    "lease",
    "audit_write",
    "audit_control",
    "setfcap",
    "mac_override",
    "mac_admin",
    "syslog",
    "wake_alarm",
    "block_suspend",
    "audit_read",
    "perfmon",
    "bpf",
    "checkpoint_restore",
];

/// A `struct vfs_ns_cap_data` of revision 2 or 3 as `cap_to_text(3)` words it; none for what has another form or bits without a name.
fn capabilities(value: &[u8]) -> Option<String> {
    let root = match (short(value, 2)? >> 8, value.len()) {
        (2, 20) => None,
        (3, 24) => Some(long(value, 20)?),
        _ => return None,
    };
    let both = |low: usize, high: usize| Some(u64::from(long(value, low)?) | u64::from(long(value, high)?) << 32);
    let (permitted, inheritable) = (both(4, 12)?, both(8, 16)?);
    ((permitted | inheritable) >> CAPABILITIES.len() == 0).then_some(())?;
    let effective = if value[0] & 1 != 0 { "e" } else { "" };
    let groups = [(permitted & inheritable, "ip"), (permitted & !inheritable, "p"), (inheritable & !permitted, "i")];
    let words = groups.iter().filter(|(set, _)| *set != 0).map(|(set, flags)| {
        let names = CAPABILITIES.iter().enumerate().filter(|(bit, _)| set >> bit & 1 == 1);
        let names: Vec<String> = names.map(|(_, name)| format!("cap_{name}")).collect();
        format!("{}={effective}{flags}", names.join(","))
    });
    let words: Vec<String> = words.chain(root.map(|root| format!("[rootid={root}]"))).collect();
    (!words.is_empty()).then(|| words.join(" "))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown_value(name: &str, value: &[u8]) -> String {
        shown(&Attributes::from([(name.into(), value.to_vec())])).remove(0).value
    }

    #[test]
    fn capabilities_are_those_of_getcap() {
        // As `setcap` writes them.
        let raw: [(&[u8], &str); 4] = [
            (&[1, 0, 0, 2, 0, 0x20, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0], "cap_net_raw=ep"),
            (&[0, 0, 0, 2, 0, 0x30, 0, 0, 0, 0, 0, 0, 0x80, 0, 0, 0, 0, 0, 0, 0], "cap_net_admin,cap_net_raw,cap_bpf=p"),
            (&[1, 0, 0, 2, 1, 0, 0, 0, 3, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0], "cap_chown=eip cap_dac_override=ei"),
            (&[1, 0, 0, 3, 0, 0x20, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xa0, 0x86, 1, 0], "cap_net_raw=ep [rootid=100000]"),
        ];
        for (value, expected) in raw {
            assert_eq!(shown_value("security.capability", value), expected);
        }
        assert_eq!(shown_value("security.capability", &[1, 0, 0, 2]), "0x01000002");
        assert_eq!(shown_value("security.capability", &[0; 20]), format!("0x{}", "00".repeat(20)));
    }

    #[test]
    fn values_are_text_or_numbers() {
        assert_eq!(shown_value("user.note", b"kept"), "kept");
        assert_eq!(shown_value("security.selinux", b"system_u:object_r:bin_t:s0\0"), r"system_u:object_r:bin_t:s0\0");
        assert_eq!(shown_value("user.note", br"a\0"), "0x615c30");
        assert_eq!(shown_value("user.note", b"a\nb"), "0x610a62");
        assert_eq!(shown_value("user.note", b"0x61"), "0x30783631");
        assert_eq!(shown_value("user.note", &[7; 65]), format!("65 bytes, BLAKE3 {}", Digest::of(&[7; 65])));
    }
}

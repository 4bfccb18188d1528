//! The network of the image: the files of systemd-networkd or netplan.

use std::fmt::Write as _;
use std::net::IpAddr;

use serde::{Deserialize, Serialize};

use super::Error;
use super::sandbox::Cell;
use crate::progress::Cancel;
use crate::tree::Tree;

/// How the image's interfaces are set up (`systemConfig.network`).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Network {
    /// Whose files say it.
    pub backend: Backend,
    /// In the order of the spec: of two that fit an interface, the first one holds.
    pub interfaces: Vec<Interface>,
}

/// What sets up interfaces.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Backend {
    /// `systemd.network(5)`.
    SystemdNetworkd,
    /// `netplan(5)`, with systemd-networkd behind it.
    Netplan,
}

/// One interface.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Interface {
    /// Its name, or a pattern with `*` and `?`: letters, digits, `_`, `.` and `-` beside these.
    pub name: String,
    /// Whether it asks for an IPv4 address.
    pub dhcp4: bool,
    /// Whether it asks for an IPv6 address.
    pub dhcp6: bool,
    /// Addresses of its own.
    pub addresses: Vec<Subnet>,
    /// Where else packets go.
    pub routes: Vec<Route>,
    /// Who is asked for names.
    pub nameservers: Vec<IpAddr>,
}

/// An address and the length of its network's prefix in bits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Subnet(pub IpAddr, pub u8);

impl std::fmt::Display for Subnet {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{}", self.0, self.1)
    }
}

/// One route.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Route {
    /// The destination; none is everything that has no other route.
    pub to: Option<Subnet>,
    /// The gateway.
    pub via: IpAddr,
}

/// Writes the files, and lets systemd-networkd start where it is named; netplan starts it itself.
pub(super) fn set_up(tree: &Tree, cell: &Cell<'_>, network: &Network, cancel: &Cancel) -> Result<(), Error> {
    match network.backend {
        Backend::SystemdNetworkd => {
            for (number, interface) in network.interfaces.iter().enumerate() {
                // The first file that fits an interface is taken, by name.
                let name = interface.name.replace(['*', '?'], "");
                tree.write(format!("etc/systemd/network/{}-{name}.network", number + 10), unit(interface).as_bytes(), 0o644)?;
            }
            let command = ["systemctl", "enable", "systemd-networkd.service"];
            cell.run("systemctl enable systemd-networkd", &command, b"", &mut |_| {}, cancel)?;
        }
        // netplan(5) wants it to be nobody's business: it can have passwords.
        Backend::Netplan => tree.write("etc/netplan/60-image.yaml", plan(network).as_bytes(), 0o600)?,
    }
    Ok(())
}

/// A file of systemd.network(5).
fn unit(interface: &Interface) -> String {
    let dhcp = match (interface.dhcp4, interface.dhcp6) {
        (true, true) => "yes",
        (true, false) => "ipv4",
        (false, true) => "ipv6",
        (false, false) => "no",
    };
    let mut text = format!("[Match]\nName={}\n\n[Network]\nDHCP={dhcp}\n", interface.name);
    for address in &interface.addresses {
        let _ = writeln!(text, "Address={address}");
    }
    for server in &interface.nameservers {
        let _ = writeln!(text, "DNS={server}");
    }
    for Route { to, via } in &interface.routes {
        text += "\n[Route]\n";
        if let Some(to) = to {
            let _ = writeln!(text, "Destination={to}");
        }
        let _ = writeln!(text, "Gateway={via}");
    }
    text
}

/// The file of netplan(5). Names and addresses need no more than quotation marks.
fn plan(network: &Network) -> String {
    let mut text = "network:\n  version: 2\n  renderer: networkd\n".to_owned();
    if !network.interfaces.is_empty() {
        text += "  ethernets:\n";
    }
    for (number, interface) in network.interfaces.iter().enumerate() {
        let Interface { name, dhcp4, dhcp6, addresses, routes, nameservers } = interface;
        if name.contains(['*', '?']) {
            let _ = write!(text, "    \"match{number}\":\n      match:\n        name: \"{name}\"\n");
        } else {
            let _ = writeln!(text, "    \"{name}\":");
        }
        let _ = write!(text, "      dhcp4: {dhcp4}\n      dhcp6: {dhcp6}\n");
        if !addresses.is_empty() {
            text += "      addresses:\n";
        }
        for address in addresses {
            let _ = writeln!(text, "        - \"{address}\"");
        }
        if !routes.is_empty() {
            text += "      routes:\n";
        }
        for Route { to, via } in routes {
            let to = to.map_or_else(|| "default".to_owned(), |to| to.to_string());
            let _ = write!(text, "        - to: \"{to}\"\n          via: \"{via}\"\n");
        }
        if !nameservers.is_empty() {
            text += "      nameservers:\n        addresses:\n";
        }
        for server in nameservers {
            let _ = writeln!(text, "          - \"{server}\"");
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn network(backend: Backend) -> Network {
        let ip = |text: &str| text.parse::<IpAddr>().unwrap();
        let interface = |name: &str| Interface {
            name: name.to_owned(),
            dhcp4: true,
            dhcp6: false,
            addresses: Vec::new(),
            routes: Vec::new(),
            nameservers: Vec::new(),
        };
        let fixed = Interface {
            dhcp4: false,
            addresses: vec![Subnet(ip("10.0.0.100"), 24), Subnet(ip("fd00::2"), 64)],
            routes: vec![Route { to: None, via: ip("10.0.0.1") }, Route { to: Some(Subnet(ip("fd01::"), 16)), via: ip("fd00::1") }],
            nameservers: vec![ip("10.0.0.53"), ip("fd00::53")],
            ..interface("enp2s0")
        };
        Network { backend, interfaces: vec![fixed, interface("en*")] }
    }

    #[test]
    fn units_say_what_the_spec_says() {
        let units: Vec<String> = network(Backend::SystemdNetworkd).interfaces.iter().map(unit).collect();
        insta::assert_snapshot!(units.join("---\n"));
    }

    #[test]
    fn the_plan_says_what_the_spec_says() {
        insta::assert_snapshot!(plan(&network(Backend::Netplan)));
    }
}

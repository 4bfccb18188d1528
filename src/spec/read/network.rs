//! `systemConfig.network`.

use std::collections::BTreeMap;
use std::net::IpAddr;

use super::checked;
use crate::spec::model::{Interface, Network, NetworkBackend, Route, Subnet};
use crate::spec::names;
use crate::yaml::Field;

/// The most interfaces: their files are numbered with two digits.
const LIMIT: usize = 90;

pub(super) fn read(field: &Field<'_>) -> Option<Network> {
    let mut fields = field.fields()?;
    let names = [("systemd-networkd", NetworkBackend::SystemdNetworkd), ("netplan", NetworkBackend::Netplan)];
    let backend = fields.required("backend").and_then(|field| field.one_of(&names, &["NetworkManager"]));
    let list = fields.optional("interfaces");
    fields.finish();

    let mut interfaces = Vec::new();
    let mut seen = BTreeMap::new();
    for item in list.as_ref().and_then(Field::list).unwrap_or_default() {
        let Some(interface) = interface(&item) else { continue };
        if let Some(first) = seen.insert(interface.name.clone(), item.place()) {
            item.error(&format!("is a second interface “{}”; the first is in {}", interface.name, item.line_of(first)));
        }
        interfaces.push(interface);
    }
    if interfaces.len() > LIMIT {
        list.inspect(|field| field.error(&format!("has more than {LIMIT} interfaces")));
    }
    Some(Network { backend: backend?.value, interfaces })
}

fn interface(item: &Field<'_>) -> Option<Interface> {
    let mut fields = item.fields()?;
    let name = fields.required("name").and_then(|field| checked(&field, names::interface));
    let mut dhcp = |name| fields.optional(name).and_then(|field| field.boolean()).is_some_and(|located| located.value);
    let (dhcp4, dhcp6) = (dhcp("dhcp4"), dhcp("dhcp6"));
    let addresses = fields.optional("addresses").map(|field| list(&field, |item| parsed(item, subnet, SUBNET))).unwrap_or_default();
    let mut routes = Vec::new();
    for (gateway, is_ipv4) in [("gateway4", true), ("gateway6", false)] {
        let Some(field) = fields.optional(gateway) else { continue };
        let Some(via) = parsed(&field, address, ADDRESS) else { continue };
        if via.is_ipv4() == is_ipv4 {
            routes.push(Route { to: None, via });
        } else {
            field.error(&format!("must be an IPv{} address, but is {via}", if is_ipv4 { 4 } else { 6 }));
        }
    }
    routes.extend(fields.optional("routes").map(|field| list(&field, route)).unwrap_or_default());
    let nameservers = fields.optional("nameservers").map(|field| list(&field, |item| parsed(item, address, ADDRESS))).unwrap_or_default();
    fields.finish();
    Some(Interface { name: name?, dhcp4, dhcp6, addresses, routes, nameservers })
}

fn route(item: &Field<'_>) -> Option<Route> {
    let mut fields = item.fields()?;
    let to =
        fields.required("to").and_then(|field| parsed(&field, |text| if text == "default" { Some(None) } else { subnet(text).map(Some) }, SUBNET));
    let via_field = fields.required("via");
    let via = via_field.as_ref().and_then(|field| parsed(field, address, ADDRESS));
    fields.finish();
    let (to, via) = (to?, via?);
    if let Some(to) = to
        && to.0.is_ipv4() != via.is_ipv4()
    {
        via_field.inspect(|field| field.error(&format!("is an address of another kind than {to}: {via}")));
        return None;
    }
    Some(Route { to, via })
}

fn list<T>(field: &Field<'_>, read: impl Fn(&Field<'_>) -> Option<T>) -> Vec<T> {
    field.list().unwrap_or_default().iter().filter_map(read).collect()
}

const ADDRESS: &str = "an IP address";
const SUBNET: &str = "an IP address with the length of its prefix, such as 10.0.0.100/24";

fn parsed<T>(field: &Field<'_>, parse: impl Fn(&str) -> Option<T>, expected: &'static str) -> Option<T> {
    let text = checked(field, |text| parse(text).map(drop).ok_or(expected))?;
    parse(&text)
}

fn address(text: &str) -> Option<IpAddr> {
    text.parse().ok()
}

fn subnet(text: &str) -> Option<Subnet> {
    let (ip, prefix) = text.split_once('/')?;
    let ip = address(ip)?;
    let prefix = prefix.bytes().all(|byte| byte.is_ascii_digit()).then(|| prefix.parse().ok())??;
    (prefix <= if ip.is_ipv4() { 32 } else { 128 }).then_some(Subnet(ip, prefix))
}

//! Why there is no image for a spec: in which inputs it differs from the images that are there.

use std::collections::BTreeSet;
use std::fmt;

use serde::Serialize;
use serde_json::Value;

use super::Annotations;
use crate::cache::{ImageCache, ImageRecord, Result};
use crate::store::Store;

/// An input that two images do not have in common.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Difference {
    /// Which, as specs name it: `systemConfig.users[alice].shell`.
    pub input: String,
    /// What is different.
    #[serde(flatten)]
    pub change: Change,
}

/// What is different between the kept image and the one that is asked for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "change", rename_all = "snake_case")]
pub enum Change {
    /// It has another value; what is null was not said.
    Value {
        /// That of the kept image.
        from: Value,
        /// That of the spec.
        to: Value,
    },
    /// A list has other items; both are empty where only their order is another.
    Items {
        /// Those that only the spec has.
        added: Vec<String>,
        /// Those that only the kept image has.
        removed: Vec<String>,
    },
    /// A secret, or contents that have a digest: there is nothing to show.
    Other,
}

impl fmt::Display for Difference {
    /// `disk.size: 2 GiB → 4 GiB`, `systemConfig.packages: + nginx, - curl`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: ", self.input)?;
        match &self.change {
            Change::Other => f.write_str("is another"),
            Change::Value { from, to } => write!(f, "{} → {}", shown(&self.input, from), shown(&self.input, to)),
            Change::Items { added, removed } if added.is_empty() && removed.is_empty() => f.write_str("in another order"),
            Change::Items { added, removed } => {
                let items = added.iter().map(|item| format!("+ {item}")).chain(removed.iter().map(|item| format!("- {item}")));
                f.write_str(&items.collect::<Vec<_>>().join(", "))
            }
        }
    }
}

/// The kept image that differs least from a spec.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Nearest {
    /// The image.
    pub image: ImageRecord,
    /// Whether it is an image of the same name.
    pub same_name: bool,
    /// By the names of the inputs. Empty where the difference is in what is not known of an older image.
    pub differences: Vec<Difference>,
}

/// The nearest of the kept images to these inputs ([`crate::spec::Loaded::inputs`]): one of the same name before others, then that with the fewest
/// differences, then the newest. None where no image is kept whose inputs are known; those of an imported one are not.
///
/// # Errors
/// A store that cannot be read.
pub fn nearest(store: &Store, inputs: &Value) -> Result<Option<Nearest>> {
    let cache = ImageCache::new(store);
    let name = |inputs: &Value| inputs.pointer("/spec/image/name").cloned();
    let mut best: Option<(bool, usize, Nearest)> = None;
    for image in cache.list()? {
        let kept = Annotations::read(&cache, &image)?.inputs;
        if kept.is_null() || image.imported.is_some() {
            continue;
        }
        let differences = differences(&kept, inputs);
        let rank = (name(&kept) != name(inputs), differences.len());
        if best.as_ref().is_none_or(|(other, count, _)| rank < (*other, *count)) {
            best = Some((rank.0, rank.1, Nearest { image, same_name: !rank.0, differences }));
        }
    }
    Ok(best.map(|(.., nearest)| nearest))
}

/// What differs between the inputs of a kept image and those of another. Of an image that an older program kept only the spec is known: the rest is not
/// compared.
pub fn differences(kept: &Value, wanted: &Value) -> Vec<Difference> {
    let mut found = Vec::new();
    match (kept.as_object(), kept.get("spec"), wanted.get("spec")) {
        (Some(fields), Some(kept), Some(wanted)) if fields.len() == 1 => compare("spec", kept, wanted, &mut found),
        _ => compare("", kept, wanted, &mut found),
    }
    found
}

/// Fields that the model calls otherwise than specs do, by their paths without what stands in brackets.
const NAMES: [(&str, &str); 37] = [
    ("lock", "the lock"),
    ("builder_epoch", "the builder's version"),
    ("source_date_epoch", "SOURCE_DATE_EPOCH"),
    ("codename", "the profile's codename"),
    ("archives", "the profile's archives"),
    ("spec", ""),
    ("spec.system", "systemConfig"),
    ("spec.repositories", "packageRepositories"),
    ("spec.repositories.list", "url"),
    ("spec.repositories.components", "component"),
    ("spec.repositories.keys", "pkeys"),
    ("spec.repositories.unverified", "insecureSkipVerify"),
    ("spec.repositories.allow_packages", "allowPackages"),
    ("spec.repositories.exclude_packages", "excludePackages"),
    ("spec.folders", "packageRepositories"),
    ("spec.folders.packages", "path"),
    ("spec.folders.packages.digest", ""),
    ("spec.folders.allow_packages", "allowPackages"),
    ("spec.folders.exclude_packages", "excludePackages"),
    ("spec.target.image_type", "imageType"),
    ("spec.disk.table", "partitionTableType"),
    ("spec.disk.extend_last_partition", "extendLastPartitionToFillDisk"),
    ("spec.disk.partitions.kind", "type"),
    ("spec.disk.partitions.filesystem", "fsType"),
    ("spec.disk.partitions.label", "fsLabel"),
    ("spec.disk.partitions.mount_point", "mountPoint"),
    ("spec.disk.partitions.mount_options", "mountOptions"),
    ("spec.system.recommends", "installRecommends"),
    ("spec.system.additional_files", "additionalFiles"),
    ("spec.system.users.ssh_authorized_keys", "sshAuthorizedKeys"),
    ("spec.system.users.password_max_age", "passwordMaxAge"),
    ("spec.system.cmdline", "kernel.cmdline"),
    ("spec.system.modules", "kernel.enableExtraModules"),
    ("spec.system.kernel.names", "packages"),
    ("spec.system.bootloader", "bootloader"),
    ("spec.system.additional_files.content", "local"),
    ("spec.system.additional_files.destination", "final"),
];

/// What tells the items of a list of mappings apart.
const KEYS: [&[&str]; 5] = [&["destination"], &["file"], &["id", "codename"], &["id"], &["name"]];

/// The name of a field as specs have it; `path` is the model's.
fn name_of(path: &str) -> String {
    let mut bare = String::new();
    let mut name = String::new();
    for part in path.split('\u{0}') {
        let (field, item) = part.split_once('[').map_or((part, None), |(field, item)| (field, Some(item)));
        bare = if bare.is_empty() { field.to_owned() } else { format!("{bare}.{field}") };
        let shown = NAMES.iter().find(|(model, _)| *model == bare).map_or(field, |(_, spec)| spec);
        if !name.is_empty() && !shown.is_empty() {
            name.push('.');
        }
        name.push_str(shown);
        if let Some(item) = item {
            name.push('[');
            name.push_str(item);
        }
    }
    name
}

fn compare(path: &str, kept: &Value, wanted: &Value, found: &mut Vec<Difference>) {
    if kept == wanted {
        return;
    }
    let beneath = |field: &str| if path.is_empty() { field.to_owned() } else { format!("{path}\u{0}{field}") };
    let mut tell = |change| found.push(Difference { input: name_of(path), change });
    match (kept, wanted) {
        (Value::Object(a), Value::Object(b)) if !path.ends_with("content") => {
            let fields: BTreeSet<&String> = a.keys().chain(b.keys()).collect();
            for field in fields {
                compare(&beneath(field), a.get(field).unwrap_or(&Value::Null), b.get(field).unwrap_or(&Value::Null), found);
            }
        }
        (Value::Array(a), Value::Array(b)) => compare_lists(path, a, b, found),
        // Lists that came later are not there where they are empty.
        (Value::Null, Value::Array(b)) => compare_lists(path, &[], b, found),
        (Value::Array(a), Value::Null) => compare_lists(path, a, &[], found),
        // Hashes and digests say nothing to people, and those of passwords are to be seen by nobody.
        _ if path.ends_with("password") || path.ends_with("content") || path.ends_with("digest") => tell(Change::Other),
        _ => tell(Change::Value { from: kept.clone(), to: wanted.clone() }),
    }
}

fn compare_lists(path: &str, kept: &[Value], wanted: &[Value], found: &mut Vec<Difference>) {
    let all = || kept.iter().chain(wanted);
    let key = KEYS.into_iter().find(|key| all().all(|item| key.iter().all(|field| item.get(field).is_some_and(Value::is_string))));
    let name = |item: &Value| match (key, item) {
        (Some(fields), _) => fields.iter().filter_map(|field| item.get(field)?.as_str()).collect::<Vec<_>>().join(" "),
        (None, Value::String(text)) => text.clone(),
        (None, other) => other.to_string(),
    };
    let only = |of: &[Value], others: &[Value]| -> Vec<String> {
        let others: BTreeSet<String> = others.iter().map(name).collect();
        of.iter().map(name).filter(|name| !others.contains(name)).collect()
    };
    let (added, removed) = (only(wanted, kept), only(kept, wanted));
    let before = found.len();
    if !added.is_empty() || !removed.is_empty() {
        found.push(Difference { input: name_of(path), change: Change::Items { added, removed } });
    }
    if key.is_some() {
        for item in wanted {
            let name = name(item);
            if let Some(other) = kept.iter().find(|other| self::named(key, other) == self::named(key, item)) {
                compare(&format!("{path}[{name}]"), other, item, found);
            }
        }
    }
    if found.len() == before {
        found.push(Difference { input: name_of(path), change: Change::Items { added: Vec::new(), removed: Vec::new() } });
    }
}

fn named<'v>(key: Option<&[&str]>, item: &'v Value) -> Vec<Option<&'v Value>> {
    key.unwrap_or_default().iter().map(|field| item.get(field)).collect()
}

/// A value for people: sizes with a unit, modes in octal.
fn shown(input: &str, value: &Value) -> String {
    let field = input.rsplit('.').next().unwrap_or_default();
    match (value, value.as_u64()) {
        (Value::Null, _) => "nothing".to_owned(),
        (_, Some(bytes)) if matches!(field, "size" | "start" | "end") && bytes % (1 << 20) == 0 => match bytes >> 20 {
            mib if mib % 1024 == 0 && mib > 0 => format!("{} GiB", mib / 1024),
            mib => format!("{mib} MiB"),
        },
        (_, Some(mode)) if field == "mode" => format!("{mode:04o}"),
        (Value::String(text), _) => text.clone(),
        (other, _) => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn told(kept: &Value, wanted: &Value) -> Vec<String> {
        differences(kept, wanted).iter().map(ToString::to_string).collect()
    }

    #[test]
    fn differences_are_told_in_the_words_of_specs() {
        let kept = json!({"builder_epoch": 1, "source_date_epoch": null, "spec": {
            "image": {"name": "a", "version": "1"},
            "disk": {"size": 2_147_483_648_u64, "partitions": [{"id": "root", "end": null, "filesystem": "ext4"}]},
            "system": {
                "packages": ["bash", "curl"], "cmdline": "quiet", "configurations": ["a", "b"],
                "users": [{"name": "bob", "password": "$6$x", "shell": null}, {"name": "eve"}],
                "additional_files": [{"destination": "/etc/motd", "content": {"file": "00"}, "mode": 0o644}],
            },
            "repositories": [{"id": "h/d", "codename": "x", "priority": 500}],
            "folders": [{"id": "debs", "packages": [{"file": "a.deb", "digest": "00"}, {"file": "b.deb", "digest": "00"}]}],
        }});
        let wanted = json!({"builder_epoch": 2, "source_date_epoch": 5, "spec": {
            "image": {"name": "a", "version": "2"},
            "disk": {"size": 4_196_401_152_u64, "partitions": [{"id": "root", "end": 1_073_741_824, "filesystem": "ext4"}]},
            "system": {
                "packages": ["bash", "nginx"], "cmdline": "quiet splash", "configurations": ["b", "a"],
                "users": [{"name": "bob", "password": "$6$y", "shell": "/bin/sh"}, {"name": "ann"}],
                "additional_files": [{"destination": "/etc/motd", "content": {"file": "01"}, "mode": 0o600}],
            },
            "repositories": [{"id": "h/d", "codename": "x", "priority": 900, "unverified": true}, {"id": "h/d", "codename": "y", "priority": 500}],
            "folders": [{"id": "debs", "packages": [{"file": "a.deb", "digest": "01"}, {"file": "c.deb", "digest": "00"}]}],
        }});
        let expected = [
            "the builder's version: 1 → 2",
            "SOURCE_DATE_EPOCH: nothing → 5",
            "disk.partitions[root].end: nothing → 1 GiB",
            "disk.size: 2 GiB → 4002 MiB",
            "packageRepositories[debs].path: + c.deb, - b.deb",
            "packageRepositories[debs].path[a.deb]: is another",
            "image.version: 1 → 2",
            "packageRepositories: + h/d y",
            "packageRepositories[h/d x].priority: 500 → 900",
            "packageRepositories[h/d x].insecureSkipVerify: nothing → true",
            "systemConfig.additionalFiles[/etc/motd].local: is another",
            "systemConfig.additionalFiles[/etc/motd].mode: 0644 → 0600",
            "systemConfig.kernel.cmdline: quiet → quiet splash",
            "systemConfig.configurations: in another order",
            "systemConfig.packages: + nginx, - curl",
            "systemConfig.users: + ann, - eve",
            "systemConfig.users[bob].password: is another",
            "systemConfig.users[bob].shell: nothing → /bin/sh",
        ];
        assert_eq!(told(&kept, &wanted), expected);
    }

    /// Whatever changes in the model is told by a key that a spec can have.
    #[test]
    fn every_name_is_one_of_the_language() {
        use crate::spec::tests::hash::{changes, full};
        let schema = crate::spec::schema();
        let keys: BTreeSet<String> = crate::yaml::schema_tests::places(&schema).into_keys().map(|place| place.replace("[0]", "")).collect();
        let loaded = full();
        let mut all = vec![("nothing", loaded.inputs(None))];
        all.extend(changes(&loaded.spec).into_iter().map(|(what, spec)| (what, crate::spec::Loaded { spec, ..loaded.clone() }.inputs(None))));
        let mut seen = 0;
        // Beside the spec itself the one before it: what the spec has not at all differs from nothing in one piece.
        let pairs = (1..all.len()).flat_map(|at| [(&all[0].1, &all[at]), (&all[at - 1].1, &all[at])]);
        for (kept, (what, wanted)) in pairs {
            for Difference { input, .. } in differences(kept, wanted) {
                let bare =
                    input.split('[').enumerate().map(|(at, part)| if at == 0 { part } else { part.split_once(']').map_or("", |(_, rest)| rest) });
                assert!(keys.contains(&bare.collect::<String>()), "{what} is told as “{input}”, which is no key of specs");
                seen += 1;
            }
        }
        assert!(seen > 50, "{seen}");
    }

    #[test]
    fn a_list_that_is_not_there_is_empty() {
        let (none, one) = (json!({"spec": {}}), json!({"spec": {"folders": [{"id": "debs", "packages": []}]}}));
        assert_eq!(told(&none, &one), ["packageRepositories: + debs"]);
        assert_eq!(told(&one, &none), ["packageRepositories: - debs"]);
    }

    #[test]
    fn what_is_not_known_of_an_older_image_is_not_compared() {
        let wanted = json!({"builder_epoch": 2, "codename": "x", "spec": {"image": {"name": "b"}}});
        assert_eq!(told(&json!({"spec": {"image": {"name": "a"}}}), &wanted), ["image.name: a → b"]);
        assert!(told(&json!({"spec": {"image": {"name": "b"}}}), &wanted).is_empty());
    }

    fn value() -> impl Strategy<Value = Value> {
        let leaf =
            prop_oneof![Just(Value::Null), any::<bool>().prop_map(Value::from), (0..3_u8).prop_map(Value::from), "[ab]{0,2}".prop_map(Value::from)];
        leaf.prop_recursive(4, 24, 4, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
                prop::collection::btree_map("name|id|content|password|mode", inner, 0..4).prop_map(|fields| fields.into_iter().collect()),
            ]
        })
    }

    /// The same without fields that are null: they say nothing.
    fn said(value: &Value) -> Value {
        match value {
            Value::Object(fields) => fields.iter().map(|(name, value)| (name.clone(), said(value))).filter(|(_, value)| !empty(value)).collect(),
            Value::Array(items) => items.iter().map(said).collect(),
            other => other.clone(),
        }
    }

    fn empty(value: &Value) -> bool {
        value.is_null() || value.as_object().is_some_and(serde_json::Map::is_empty)
    }

    proptest! {
        #[test]
        fn what_is_equal_has_no_difference_and_what_is_not_has_one(a in value(), b in value()) {
            prop_assert!(differences(&a, &a).is_empty());
            if said(&a) != said(&b) && !(empty(&said(&a)) && empty(&said(&b))) {
                prop_assert!(!differences(&a, &b).is_empty(), "{} {}", a, b);
            }
        }
    }
}

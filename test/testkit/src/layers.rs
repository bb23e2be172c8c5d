//! The law of the layers: which crate may depend on which, judged from `layers.toml` and `cargo metadata`.

use std::path::Path;

use serde::Deserialize;

/// `layers.toml`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Law {
    /// The layers, lowest first.
    pub layer: Vec<Layer>,
    /// Words that the pure layer may not use.
    pub pure: Pure,
    /// Rules for single files.
    pub files: Files,
}

/// A folder of crates.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Layer {
    /// The folder below the root that holds the crates, one folder each.
    pub folder: String,
    /// Folders of the layers that crates of this one may depend on.
    pub imports: Vec<String>,
    /// Crates that may depend on those before them in this list; empty where siblings never import each other.
    #[serde(default)]
    pub order: Vec<String>,
}

/// The layer without side effects.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Pure {
    /// Its folder.
    pub folder: String,
    /// Words that do not occur in its code.
    pub words: Vec<String>,
}

/// Rules for single files.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Files {
    /// Most lines of a source file.
    pub lines_max: usize,
    /// Folders of generated code.
    pub generated: Vec<String>,
}

/// One crate of the workspace: where it lies and what of the workspace it depends on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Member {
    /// Package name.
    pub name: String,
    /// Its folder, relative to the root, such as `crates/core/mvcc`.
    pub folder: String,
    /// Names of the packages that it depends on, dev- and build-dependencies too.
    pub imports: Vec<String>,
}

#[derive(Deserialize)]
struct Metadata {
    packages: Vec<Package>,
    workspace_root: String,
}

#[derive(Deserialize)]
struct Package {
    name: String,
    manifest_path: String,
    dependencies: Vec<Dependency>,
}

#[derive(Deserialize)]
struct Dependency {
    name: String,
}

/// Reads `layers.toml`.
///
/// # Errors
/// The text is not TOML, or not of the form of [`Law`].
pub fn read_law(text: &str) -> Result<Law, toml::de::Error> {
    toml::from_str(text)
}

/// Reads what `cargo metadata --no-deps --format-version 1` printed.
///
/// # Errors
/// The text is not that.
pub fn read_members(metadata: &str) -> Result<Vec<Member>, serde_json::Error> {
    let metadata: Metadata = serde_json::from_str(metadata)?;
    let folder_of = |manifest: &str| {
        let manifest = Path::new(manifest);
        let folder = manifest.parent().unwrap_or(manifest);
        folder.strip_prefix(&metadata.workspace_root).unwrap_or(folder).display().to_string()
    };
    Ok(metadata
        .packages
        .iter()
        .map(|package| Member {
            name: package.name.clone(),
            folder: folder_of(&package.manifest_path),
            imports: package.dependencies.iter().map(|dependency| dependency.name.clone()).collect(),
        })
        .collect())
}

/// Returns every import that the law does not allow, a sentence each.
#[must_use]
pub fn check_imports(law: &Law, members: &[Member]) -> Vec<String> {
    let mut wrong = Vec::new();
    for member in members {
        let Some((layer, crate_name)) = layer_of(law, member) else {
            wrong.push(format!("{}: its folder is in no layer", member.folder));
            continue;
        };
        if !layer.order.is_empty() && !layer.order.iter().any(|known| known == crate_name) {
            wrong.push(format!("{} is missing in the order of {}", member.name, layer.folder));
        }
        for import in &member.imports {
            // A crate of someone else's has no layer.
            let Some(imported) = members.iter().find(|other| other.name == *import) else { continue };
            if imported.name != member.name && !may_import(law, layer, crate_name, imported) {
                wrong.push(format!("{} must not import {}", member.folder, imported.folder));
            }
        }
    }
    wrong
}

fn layer_of<'law, 'member>(law: &'law Law, member: &'member Member) -> Option<(&'law Layer, &'member str)> {
    let (folder, crate_name) = member.folder.rsplit_once('/')?;
    let layer = law.layer.iter().find(|layer| layer.folder == folder)?;
    Some((layer, crate_name))
}

fn may_import(law: &Law, layer: &Layer, crate_name: &str, imported: &Member) -> bool {
    let Some((imported_layer, imported_name)) = layer_of(law, imported) else { return false };
    if imported_layer.folder != layer.folder {
        return layer.imports.contains(&imported_layer.folder);
    }
    let place = |name: &str| layer.order.iter().position(|known| known == name);
    matches!((place(imported_name), place(crate_name)), (Some(theirs), Some(ours)) if theirs < ours)
}

#[cfg(test)]
mod tests {
    use expect_test::{Expect, expect};

    use super::*;

    const LAW: &str = r#"
        layer = [
          { folder = "crates/vocab", imports = [], order = ["base", "api"] },
          { folder = "crates/core", imports = ["crates/vocab"] },
          { folder = "crates/io", imports = ["crates/vocab"], order = ["net", "client"] },
          { folder = "crates/drive", imports = ["crates/vocab", "crates/core", "crates/io"] },
        ]
        pure = { folder = "crates/core", words = [] }
        files = { lines_max = 1, generated = [] }
    "#;

    /// Each line is `folder -> folder folder`; a package is called as its folder.
    #[track_caller]
    fn check(tree: &str, expected: Expect) {
        let members: Vec<Member> = tree
            .lines()
            .filter_map(|line| line.split_once("->"))
            .map(|(folder, imports)| Member {
                name: folder.trim().to_owned(),
                folder: folder.trim().to_owned(),
                imports: imports.split_whitespace().map(str::to_owned).collect(),
            })
            .collect();
        expected.assert_eq(&check_imports(&read_law(LAW).unwrap(), &members).join("\n"));
    }

    #[test]
    fn imports_that_go_down_are_allowed() {
        check(
            "crates/vocab/base ->
             crates/vocab/api -> crates/vocab/base serde
             crates/core/mvcc -> crates/vocab/base
             crates/io/net -> crates/vocab/api
             crates/io/client -> crates/io/net
             crates/drive/apiserver -> crates/core/mvcc crates/io/net crates/vocab/base",
            expect![""],
        );
    }

    #[test]
    fn imports_that_go_up_or_sideways_are_not() {
        check(
            "crates/vocab/base -> crates/vocab/api
             crates/vocab/api -> crates/core/mvcc
             crates/core/mvcc -> crates/io/net
             crates/core/mesos -> crates/core/mvcc
             crates/io/net -> crates/io/client crates/core/mvcc
             crates/io/client -> crates/drive/proxy
             crates/drive/proxy -> crates/drive/apiserver
             crates/drive/apiserver ->",
            expect![[r"
                crates/vocab/base must not import crates/vocab/api
                crates/vocab/api must not import crates/core/mvcc
                crates/core/mvcc must not import crates/io/net
                crates/core/mesos must not import crates/core/mvcc
                crates/io/net must not import crates/io/client
                crates/io/net must not import crates/core/mvcc
                crates/io/client must not import crates/drive/proxy
                crates/drive/proxy must not import crates/drive/apiserver"]],
        );
    }

    #[test]
    fn a_crate_has_a_layer_and_a_place_in_it() {
        check(
            "crates/vocab/new ->
             tools/x ->",
            expect![[r"
                crates/vocab/new is missing in the order of crates/vocab
                tools/x: its folder is in no layer"]],
        );
    }

    #[test]
    fn members_are_read_from_cargo() {
        let metadata = r#"{"workspace_root": "/r", "packages": [
            {"name": "km-a", "manifest_path": "/r/crates/core/a/Cargo.toml", "dependencies": [{"name": "km-b", "kind": "dev"}]}]}"#;
        let member = Member { name: "km-a".into(), folder: "crates/core/a".into(), imports: vec!["km-b".into()] };
        assert_eq!(read_members(metadata).unwrap(), [member]);
    }
}

//! The bill of materials of an image, as CycloneDX 1.5 JSON.
//!
//! It has no serial number and no time, which the format permits: they would differ from build to build.

use crate::components::{Component, Image};
use serde_json::{Value, json};

/// The document for an image. `sha256` is the hash of its file in hexadecimal, `commit` the commit it is built from.
#[must_use]
pub fn cyclonedx(image: &Image, sha256: &str, commit: &str) -> Value {
    let mut root = component(&image.root, "firmware");
    if let Value::Object(fields) = &mut root {
        fields.insert("hashes".into(), json!([{ "alg": "SHA-256", "content": sha256 }]));
        fields.insert("properties".into(), json!([{ "name": "millpond:commit", "value": commit }]));
    }
    let all = || std::iter::once(&image.root).chain(&image.components);
    json!({
        "bomFormat": "CycloneDX",
        "specVersion": "1.5",
        "version": 1,
        "metadata": { "component": root },
        "components": image.components.iter().map(|one| component(one, "library")).collect::<Vec<_>>(),
        "dependencies": all().map(uses).collect::<Vec<_>>(),
    })
}

/// The package URL, which is also the reference within the document.
fn purl(name: &str, version: &str) -> String {
    format!("pkg:cargo/{name}@{version}")
}

fn component(component: &Component, kind: &str) -> Value {
    let Component { name, version, license, checksum, .. } = component;
    let mut value = json!({
        "type": kind,
        "bom-ref": purl(name, version),
        "name": name,
        "version": version,
        "purl": purl(name, version),
    });
    if let Value::Object(fields) = &mut value {
        if let Some(license) = license {
            // Cargo permits a slash for "OR".
            let expression = license.replace('/', " OR ");
            fields.insert("licenses".into(), json!([{ "expression": expression }]));
        }
        if let Some(checksum) = checksum {
            fields.insert("hashes".into(), json!([{ "alg": "SHA-256", "content": checksum }]));
        }
    }
    value
}

fn uses(component: &Component) -> Value {
    let on: Vec<String> = component.uses.iter().map(|(name, version)| purl(name, version)).collect();
    json!({ "ref": purl(&component.name, &component.version), "dependsOn": on })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;

    #[test]
    fn references_resolve_and_licences_are_expressions() {
        let image = Image::of(&Path::new(env!("CARGO_MANIFEST_DIR")).join("../../appliances/web")).unwrap();
        let bill = cyclonedx(&image, "00", "abc");
        let components = bill["components"].as_array().unwrap();
        let mut known: Vec<&str> = components.iter().map(|one| one["bom-ref"].as_str().unwrap()).collect();
        known.push(bill["metadata"]["component"]["bom-ref"].as_str().unwrap());
        for entry in bill["dependencies"].as_array().unwrap() {
            let on = entry["dependsOn"].as_array().unwrap();
            for reference in on.iter().chain([&entry["ref"]]) {
                assert!(known.contains(&reference.as_str().unwrap()), "{reference}");
            }
        }
        for one in components {
            let licence = one["licenses"][0]["expression"].as_str().unwrap_or_default();
            assert!(!licence.is_empty() && !licence.contains('/'), "{one}");
        }
    }
}

use std::{collections::BTreeMap, io::Read as _};

use super::*;

const PROGRAM: &[u8] = b"what would be a program";

fn image() -> Archive {
    Archive::new(&Image {
        name: "example.org/fish:2",
        architecture: "arm64",
        path: "/bin/fish",
        program: PROGRAM,
        env: &["PORT=5000".to_owned()],
        ports: &[5000],
    })
    .unwrap()
}

fn files(bytes: &[u8]) -> BTreeMap<String, Vec<u8>> {
    let read = |entry: std::io::Result<tar::Entry<'_, &[u8]>>| {
        let mut entry = entry.unwrap();
        let mut content = Vec::new();
        entry.read_to_end(&mut content).unwrap();
        assert_eq!(entry.header().mtime().unwrap(), 0);
        (entry.path().unwrap().to_str().unwrap().to_owned(), content)
    };
    tar::Archive::new(bytes).entries().unwrap().map(read).collect()
}

fn parsed(files: &BTreeMap<String, Vec<u8>>, name: &str) -> Value {
    serde_json::from_slice(&files[name]).unwrap()
}

#[test]
fn every_descriptor_leads_to_its_blob() {
    let archive = image();
    let files = files(&archive.bytes);
    let index = parsed(&files, "index.json");
    let manifest = &index["manifests"][0];
    assert_eq!(manifest["digest"], archive.digest);
    assert_eq!(
        manifest["annotations"]["io.containerd.image.name"],
        "example.org/fish:2"
    );
    let manifest = parsed(&files, &blob_path(manifest));
    for blob in [&manifest["config"], &manifest["layers"][0]] {
        assert_eq!(files[&blob_path(blob)].len() as u64, blob["size"]);
    }
    let config = parsed(&files, &blob_path(&manifest["config"]));
    assert_eq!(config["rootfs"]["diff_ids"][0], manifest["layers"][0]["digest"]);
    assert_eq!(config["config"]["Entrypoint"], json!(["/bin/fish"]));
    assert_eq!(config["config"]["User"], USER);
    let layer = &files[&blob_path(&manifest["layers"][0])];
    let mut packed = tar::Archive::new(layer.as_slice());
    let names: Vec<_> = packed
        .entries()
        .unwrap()
        .map(|entry| {
            let entry = entry.unwrap();
            (
                entry.path().unwrap().to_str().unwrap().to_owned(),
                entry.header().mode().unwrap(),
            )
        })
        .collect();
    assert_eq!(names, [("bin/".to_owned(), 0o755), ("bin/fish".to_owned(), 0o755)]);
}

#[test]
fn an_engine_finds_the_same_image() {
    let files = files(&image().bytes);
    let engine = &parsed(&files, "manifest.json")[0];
    assert_eq!(engine["RepoTags"], json!(["example.org/fish:2"]));
    for name in [&engine["Config"], &engine["Layers"][0]] {
        assert!(files.contains_key(name.as_str().unwrap()), "{name}");
    }
}

#[test]
fn the_same_program_gives_the_same_archive() {
    assert_eq!(image().bytes, image().bytes);
}

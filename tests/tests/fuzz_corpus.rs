//! Replays what the fuzzers found interesting, and what once failed, without a fuzzer.

use std::{fs, path::Path};

use throng_tests::fuzzing::TARGETS;

#[test]
fn every_corpus_passes() {
    let fuzz = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz");
    for (name, run) in TARGETS {
        let folder = fuzz.join("corpus").join(name);
        let mut files: Vec<_> = fs::read_dir(&folder)
            .unwrap_or_else(|error| panic!("{}: {error}", folder.display()))
            .map(|entry| entry.unwrap().path())
            .collect();
        files.sort();
        assert!(
            files.len() >= 10,
            "{} has only {} inputs",
            folder.display(),
            files.len()
        );
        assert!(
            fuzz.join("fuzz_targets").join(format!("{name}.rs")).exists(),
            "no target {name}"
        );
        for file in files {
            let input = fs::read(&file).unwrap();
            let outcome = std::panic::catch_unwind(|| run(&input));
            assert!(outcome.is_ok(), "{} fails", file.display());
        }
    }
}

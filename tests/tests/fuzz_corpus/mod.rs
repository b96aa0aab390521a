//! Replays the inputs that fuzzers found, and those that once failed, without a fuzzer.

mod checkpoints;
mod recordings;

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bevy_app::App;
use throng_server::boundary::link::{LinkConfig, WorkerLink, link};
use throng_server::simulation::WorkerLinks;
use throng_shared::hash::fnv1a;
use throng_shared::protocol::ids::SimulationId;
use throng_shared::random::Random;
use throng_tests::fuzzing::TARGETS;

fn corpus(target: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("fuzz/corpus")
        .join(target)
}

/// Returns the inputs of a target, in the order of their names.
fn inputs(target: &str) -> Vec<(PathBuf, Vec<u8>)> {
    let folder = corpus(target);
    let mut files: Vec<_> = fs::read_dir(&folder)
        .unwrap_or_else(|error| panic!("{}: {error}", folder.display()))
        .map(|entry| entry.unwrap().path())
        .collect();
    files.sort();
    let read = |file: PathBuf| {
        let bytes = fs::read(&file).unwrap();
        (file, bytes)
    };
    files.into_iter().map(read).collect()
}

#[test]
fn every_corpus_passes() {
    let targets = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/fuzz_targets");
    for (name, run) in TARGETS {
        let inputs = inputs(name);
        assert!(inputs.len() >= 10, "{name} has only {} inputs", inputs.len());
        assert!(targets.join(format!("{name}.rs")).exists(), "no target {name}");
        for (file, input) in inputs {
            let outcome = std::panic::catch_unwind(|| run(&input));
            assert!(outcome.is_ok(), "{} fails", file.display());
        }
    }
}

/// Returns the number of mutants of each corpus: `THRONG_MUTANTS`, or as many as take a second or two.
fn mutants() -> u64 {
    let count = std::env::var("THRONG_MUTANTS").ok();
    count.and_then(|count| count.parse().ok()).unwrap_or(400)
}

/// Returns a random number below `bound`, or 0 if that is 0.
fn below(random: &mut Random, bound: usize) -> usize {
    random.below(bound.max(1) as u64) as usize
}

/// Makes one to eight changes to `input`, of the kinds that fuzzers make.
fn mutate(random: &mut Random, input: &mut Vec<u8>, other: &[u8]) {
    const ODD: [u8; 8] = [0, 1, 0x7F, 0x80, 0xFB, 0xFC, 0xFD, 0xFF];
    for _ in 0..=below(random, 8) {
        let start = below(random, input.len());
        let end = input.len().min(start + 1 + below(random, 16));
        match below(random, 7) {
            _ if input.is_empty() => input.push(random.bits() as u8),
            0 => input[start] ^= 1 << below(random, 8),
            1 => input[start] = ODD[below(random, ODD.len())],
            2 => input[start..end].fill(ODD[below(random, ODD.len())]),
            3 => drop(input.drain(start..end)),
            4 => {
                let copy = input[start..end].to_vec();
                input.splice(start..start, copy);
            }
            5 => input.truncate(start),
            _ => {
                let from = below(random, other.len());
                input.truncate(start);
                input.extend(&other[from..]);
            }
        }
    }
}

/// Runs inputs that differ from the corpora in a few changes, without the guidance of coverage.
#[test]
fn mutants_of_every_corpus_pass() {
    let mutants = mutants();
    for (name, run) in TARGETS {
        let inputs = inputs(name);
        for seed in 0..mutants {
            let mut random = Random::new(seed);
            let [one, other] = [(); 2].map(|()| &inputs[below(&mut random, inputs.len())].1);
            let mut mutant = one.clone();
            mutate(&mut random, &mut mutant, other);
            let outcome = std::panic::catch_unwind(|| run(&mutant));
            assert!(outcome.is_ok(), "{name} fails with seed {seed}: {mutant:02x?}");
        }
    }
}

/// If `THRONG_WRITE_SEEDS` is set, replaces the corpus of a target by `seeds`. Do this after a change of its format.
fn write_seeds(target: &str, seeds: &[Vec<u8>]) {
    if std::env::var_os("THRONG_WRITE_SEEDS").is_none() {
        return;
    }
    for (file, _) in inputs(target) {
        fs::remove_file(file).unwrap();
    }
    for seed in seeds {
        fs::write(corpus(target).join(format!("{:016x}", fnv1a(seed))), seed).unwrap();
    }
}

/// Gives a simulation one worker, whose side is returned.
fn connect_worker(app: &mut App) -> WorkerLink {
    let (near, worker) = link(SimulationId(0), 0, &LinkConfig::default(), Arc::new(|| {}));
    app.insert_resource(WorkerLinks::new(vec![near]));
    worker
}

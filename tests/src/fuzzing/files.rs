//! Fuzz targets for files that a server reads: checkpoints and recordings.
//!
//! A fuzzer cannot produce valid digests. If the first byte is odd, the target therefore writes the digests itself.

use bevy_app::{App, Plugin};
use bevy_ecs::prelude::*;
use serde::{Deserialize, Serialize};
use throng_scenes::{Scene, ScenePlugin};
use throng_server::{
    persist::{self, LoadError, PersistAppExt, load, save},
    record::{self, RecordingHeader, RecordingReader, ReplayError, Replayed, app_of, replay},
    runner::finish_plugins,
    simulation::SimulationPlugin,
};
use throng_shared::hash::fnv1a;
use throng_shared::protocol::{codec, registry::Protocol, version::ProtocolHash};

use super::packets;

/// A component that only the server knows.
#[derive(Component, Serialize, Deserialize, Clone)]
pub struct Hold(pub Vec<u16>);

/// A component with a reference to another entity.
#[derive(Component, Serialize, Deserialize, Clone)]
pub struct Follows(#[entities] pub Entity);

/// A resource that checkpoints contain.
#[derive(Resource, Serialize, Deserialize, Clone, Default)]
pub struct Round(pub Option<u32>);

/// The game whose checkpoints are read.
#[derive(Debug)]
pub struct PersistentGame;

impl Plugin for PersistentGame {
    fn build(&self, app: &mut App) {
        app.init_resource::<Round>()
            .persist::<Hold>()
            .persist::<Follows>()
            .persist::<Round>();
    }
}

/// Bytes of a checkpoint before its body: the magic bytes, the version, the length and the digest.
pub const CHECKPOINT_HEADER_BYTES: usize = 28;

/// Returns the game whose checkpoints are read, before its first tick.
pub fn persistent_game() -> App {
    let mut app = App::new();
    app.add_plugins((SimulationPlugin::default(), PersistentGame));
    finish_plugins(&mut app);
    app
}

/// Loads a checkpoint, or the body of one. It must not panic, and a loaded checkpoint must be saved as an equal one.
pub fn checkpoints(data: &[u8]) {
    let Some(Ok(mut app)) = restored(data) else {
        return;
    };
    let saved = save(app.world_mut()).expect("a loaded checkpoint can be saved");
    let mut again = persistent_game();
    load(&mut again, &saved).expect("a saved checkpoint can be loaded");
    let saved_again = save(again.world_mut()).expect("a checkpoint can be saved again");
    assert!(saved == saved_again, "the same state gives the same bytes");
}

/// Returns the game that is restored from the input of [`checkpoints`]; `None` for an empty one.
#[must_use]
pub fn restored(data: &[u8]) -> Option<Result<App, LoadError>> {
    let (&first, data) = data.split_first()?;
    let mut app = persistent_game();
    let loaded = if first & 1 == 0 {
        load(&mut app, data)
    } else {
        let mut bytes = b"THRONGCP".to_vec();
        bytes.extend(persist::FORMAT_VERSION.to_le_bytes());
        bytes.extend((data.len() as u64).to_le_bytes());
        bytes.extend(fnv1a(data).to_le_bytes());
        bytes.extend(data);
        load(&mut app, &bytes)
    };
    Some(loaded.map(|_| app))
}

/// The scene of the recordings of [`recordings`], which is small enough to be created quickly.
pub const RECORDED: Scene = Scene::Crowd {
    entities: 4,
    visible: 2,
};

/// Returns the header of the recordings of [`recordings`].
#[must_use]
pub fn recorded_world() -> RecordingHeader {
    RecordingHeader {
        release: String::new(),
        protocol: ProtocolHash(0),
        game: "crowd".to_owned(),
        settings: vec![("entities".to_owned(), "4".to_owned())],
        seed: 1,
        tick_rate: 20,
        linger: std::time::Duration::from_secs(30),
        content: None,
    }
}

/// Replays a recording, or blocks after the header of one. It must not panic, whatever ticks and events it contains.
pub fn recordings(data: &[u8]) {
    // All results are valid, a divergence included.
    let _ = replay_of(data);
}

/// Replays the recording that [`recordings`] makes of its input. Returns `None` if its header is not readable.
#[must_use]
pub fn replay_of(data: &[u8]) -> Option<Result<Replayed, ReplayError>> {
    let (&first, data) = data.split_first()?;
    let header = recorded_world();
    let app = app_of(&header, ScenePlugin(RECORDED));
    let file = if first & 1 == 0 {
        data.to_vec()
    } else {
        let mut file = b"THRONGRC".to_vec();
        file.extend(record::FORMAT_VERSION.to_le_bytes());
        // The header is the first kind of block.
        let mut block = vec![0];
        let header = RecordingHeader {
            protocol: app.world().resource::<Protocol>().hash(),
            ..header
        };
        codec::encode_into(&header, &mut block).expect("a header encodes");
        for block in std::iter::once(&block[..]).chain(packets(data)) {
            file.extend((block.len() as u32).to_le_bytes());
            file.extend(fnv1a(block).to_le_bytes());
            file.extend(block);
        }
        file
    };
    let reader = RecordingReader::open(&file[..]).ok()?;
    Some(replay(reader, app))
}

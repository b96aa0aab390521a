//! Systems that read the input of a type that the protocol does not register.

use std::any::type_name;

use bevy_app::FixedUpdate;
use bevy_ecs::component::ComponentId as WorldComponentId;
use bevy_ecs::prelude::*;
use bevy_ecs::schedule::ScheduleLabel;
use serde::{Deserialize, Serialize};
use throng_shared::protocol::active::ActiveInput;
use throng_shared::protocol::input::PlayerInput;
use throng_shared::protocol::registry::Protocol;

use super::systems::systems_of;

/// An input whose only use is the name of its [`ActiveInput`].
#[derive(Clone, Default, Serialize, Deserialize)]
struct NoInput;

impl PlayerInput for NoInput {}

/// Logs the types of input that systems of the tick read, and that no player has. Runs once, before the first tick.
pub(super) fn find_unregistered(world: &mut World) {
    let systems = systems_of(world, FixedUpdate.intern());
    let registered = world
        .get_resource::<Protocol>()
        .map_or("", |protocol| protocol.input_name());
    for (component, input) in active_inputs(world) {
        if input == registered || input == type_name::<NoInput>() {
            continue;
        }
        let readers = systems.iter().filter(|system| system.reads(component));
        let readers: Vec<_> = readers.map(|system| system.name.as_str()).collect();
        let advice = if registered.is_empty() {
            format!("add `app.input::<{input}>()` to the protocol of both ends")
        } else {
            format!(
                "the protocol has `app.input::<{registered}>()`: read that type, or register the other in its place"
            )
        };
        tracing::error!(
            "no player has an `ActiveInput<{input}>`, since {input} is not the registered input: {advice}. Systems that \
             read it match no player: {}",
            readers.join(", ")
        );
    }
}

/// Returns the components of the world that are active inputs, with the names of the inputs.
fn active_inputs(world: &World) -> Vec<(WorldComponentId, String)> {
    let example = type_name::<ActiveInput<NoInput>>();
    let start = example.find('<').map_or(example, |end| &example[..=end]);
    let components = world.components().iter_registered();
    let inputs = components.filter_map(|component| {
        let name = component.name().to_string();
        let input = name.strip_prefix(start)?.strip_suffix('>')?;
        Some((component.id(), input.to_owned()))
    });
    inputs.collect()
}

//! What a type must be able to do before it is registered, as one trait for each use, so that the compiler names the line
//! to write in place of a bound deep in serde.
//!
//! Each trait holds for every type with the traits that it lists. Nothing implements them by hand.

use bevy_ecs::prelude::{Component, Resource};
use serde::Serialize;
use serde::de::DeserializeOwned;

/// A component that can be replicated by serde, or persisted.
///
/// ```compile_fail,E0277
/// # use bevy_app::App;
/// # use bevy_ecs::prelude::Component;
/// # use throng_shared::protocol::registry::ProtocolAppExt;
/// #[derive(Component, Clone)]
/// struct Hull(u16);
///
/// // error: `Hull` cannot be replicated or persisted
/// // note: write `#[derive(Component, Clone, Serialize, Deserialize)]` above `Hull`
/// App::new().replicate::<Hull>();
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be replicated or persisted",
    label = "it needs `Component`, `Clone`, `Serialize` and `Deserialize`",
    note = "write `#[derive(Component, Clone, Serialize, Deserialize)]` above `{Self}`, with the derives of `bevy_ecs` and `serde`"
)]
pub trait SerdeComponent: Component + Serialize + DeserializeOwned + Clone {}

#[diagnostic::do_not_recommend]
impl<T: Component + Serialize + DeserializeOwned + Clone> SerdeComponent for T {}

/// A resource that can be replicated.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be a replicated resource",
    label = "it needs `Resource`, `Serialize` and `Deserialize`",
    note = "write `#[derive(Resource, Serialize, Deserialize)]` above `{Self}`, with the derives of `bevy_ecs` and `serde`"
)]
pub trait SerdeResource: Resource + Serialize + DeserializeOwned {}

#[diagnostic::do_not_recommend]
impl<T: Resource + Serialize + DeserializeOwned> SerdeResource for T {}

/// A type that can be sent as a message.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be a message",
    label = "it needs `Serialize` and `Deserialize`, and must be `Send`, `Sync` and `'static`",
    note = "write `#[derive(Serialize, Deserialize)]` above `{Self}`, with the derives of `serde`"
)]
pub trait SerdeMessage: Serialize + DeserializeOwned + Send + Sync + 'static {}

#[diagnostic::do_not_recommend]
impl<T: Serialize + DeserializeOwned + Send + Sync + 'static> SerdeMessage for T {}

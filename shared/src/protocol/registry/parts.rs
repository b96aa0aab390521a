//! The parts of a protocol in their order, each with a short hash, to find the first in which two protocols differ.
//!
//! Two ends compare the protocol's one hash. When it differs, a client that joins over HTTP has sent the hashes of the
//! parts as well, and the server finds the first that is not the same. Guarantees a bounded size: two bytes a part.
//! Refuses to prove anything: two different parts have the same short hash once in 65,536 times.

use crate::hash::Fnv1a;
use crate::protocol::kick_text::KickText;
use crate::protocol::version::Release;

use super::Protocol;

/// The parts of a protocol: Throng's packets, the components, the messages and resources, the input, what is predicted, and
/// the game's version.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ProtocolParts {
    names: Vec<String>,
    hashes: Vec<u8>,
}

impl ProtocolParts {
    /// Returns the name of the part at `index`, such as `component game::Hull`.
    #[must_use]
    pub fn name(&self, index: usize) -> Option<&str> {
        self.names.get(index).map(String::as_str)
    }

    /// Returns the hashes of all parts, in two bytes each.
    #[must_use]
    pub fn hashes(&self) -> &[u8] {
        &self.hashes
    }

    /// Returns the index of the first part that differs from those with `hashes`, or that one of the two does not have.
    /// `None` if all are the same, and for a number of bytes that is odd.
    #[must_use]
    pub fn first_difference(&self, hashes: &[u8]) -> Option<usize> {
        if hashes.len() % 2 == 1 || hashes == self.hashes {
            return None;
        }
        let same = self.hashes.chunks(2).zip(hashes.chunks(2));
        Some(same.take_while(|(ours, theirs)| ours == theirs).count())
    }

    /// Returns words for the difference at `index`, where the server has the part `theirs`.
    #[must_use]
    pub fn difference_in_words(&self, index: usize, theirs: Option<&str>) -> String {
        let nothing = "nothing more";
        let ours = self.name(index).unwrap_or(nothing);
        // The server's text is shown in a terminal.
        let theirs = theirs.map(KickText::new);
        let theirs = theirs.as_ref().map_or(nothing, KickText::as_str);
        if ours == theirs {
            format!("the first difference is in {ours}, which has other fields or other settings")
        } else {
            format!("the first difference: {ours} here, {theirs} at the server")
        }
    }

    fn push(&mut self, name: String, add_settings: impl FnOnce(&mut Fnv1a)) {
        let mut hash = Fnv1a::default();
        hash.field(name.as_bytes());
        add_settings(&mut hash);
        // The upper bits of this hash are mixed best.
        self.hashes.extend(((hash.finish() >> 48) as u16).to_le_bytes());
        self.names.push(name);
    }
}

impl Protocol {
    /// Returns the parts of which [`hash`](Self::hash) is the hash.
    #[must_use]
    pub fn parts(&self) -> ProtocolParts {
        let mut parts = ProtocolParts::default();
        parts.push("Throng's packets".to_owned(), |hash| self.hash_packets(hash));
        for entry in self.components() {
            let name = format!("component {}", entry.name);
            parts.push(name, |hash| entry.hash_settings(hash));
        }
        for entry in &self.messages {
            let is_resource = self.resources.iter().any(|resource| resource.id == entry.id);
            let kind = if is_resource { "resource" } else { "message" };
            parts.push(format!("{kind} {}", entry.name), |hash| entry.hash_settings(hash));
        }
        if let Some(input) = &self.input {
            parts.push(format!("input {}", input.name), |hash| {
                hash.field(input.shape.as_bytes());
            });
        }
        for predicted in self.predicted() {
            parts.push(format!("predicted {}", predicted.name()), |_| {});
        }
        let version = self.version.as_ref().map_or(&[][..], Release::as_bytes);
        parts.push("the game's version".to_owned(), |hash| hash.field(version));
        parts
    }
}

#[cfg(test)]
mod tests {
    use bevy_app::App;
    use bevy_ecs::prelude::*;
    use serde::{Deserialize, Serialize};

    use super::*;
    use crate::protocol::ids::Channel;
    use crate::protocol::registry::{ProtocolAppExt, Visibility};

    #[derive(Component, Clone, Serialize, Deserialize)]
    struct Hull(u16);
    #[derive(Component, Clone, Serialize, Deserialize)]
    struct Cargo(u8);
    #[derive(Serialize, Deserialize)]
    struct Chat(String);
    #[derive(Resource, Serialize, Deserialize)]
    struct Weather(u8);

    mod next_revision {
        use super::*;
        #[derive(Component, Clone, Serialize, Deserialize)]
        pub(super) struct Hull {
            pub(super) points: u32,
        }
    }

    fn parts(register: impl FnOnce(&mut App)) -> ProtocolParts {
        let mut app = App::new();
        app.world_mut().init_resource::<Protocol>();
        register(&mut app);
        app.world().resource::<Protocol>().parts()
    }

    fn ours() -> ProtocolParts {
        parts(|app| {
            app.replicate::<Hull>().replicate::<Cargo>();
            app.message::<Chat>(Channel::ReliableOrdered)
                .replicate_resource::<Weather>();
        })
    }

    /// Returns how the first difference of a client's protocol from ours is named at the client.
    fn difference(register: impl FnOnce(&mut App)) -> Option<String> {
        let (server, client) = (ours(), parts(register));
        let index = server.first_difference(client.hashes())?;
        let words = client.difference_in_words(index, server.name(index));
        Some(words.replace("throng_shared::protocol::registry::parts::tests::", ""))
    }

    #[test]
    fn the_first_part_that_differs_is_named_at_both_ends() {
        let same = |app: &mut App| {
            app.replicate::<Hull>().replicate::<Cargo>();
            app.message::<Chat>(Channel::ReliableOrdered)
                .replicate_resource::<Weather>();
        };
        assert_eq!(difference(same), None);
        let swapped = |app: &mut App| {
            app.replicate::<Cargo>().replicate::<Hull>();
        };
        assert_eq!(
            difference(swapped).unwrap(),
            "the first difference: component Cargo here, component Hull at the server"
        );
        let hidden = |app: &mut App| {
            app.replicate::<Hull>().visible_to(Visibility::Owner);
        };
        assert_eq!(
            difference(hidden).unwrap(),
            "the first difference is in component Hull, which has other fields or other settings"
        );
        let missing = |app: &mut App| {
            app.replicate::<Hull>();
            app.message::<Chat>(Channel::ReliableOrdered);
        };
        assert_eq!(
            difference(missing).unwrap(),
            "the first difference: message Chat here, component Cargo at the server"
        );
        let another_channel = |app: &mut App| {
            app.replicate::<Hull>().replicate::<Cargo>();
            app.message::<Chat>(Channel::Unreliable);
        };
        assert!(difference(another_channel).unwrap().contains("in message Chat"));
        let versioned = |app: &mut App| {
            same(app);
            app.protocol_version("2");
        };
        assert!(difference(versioned).unwrap().contains("in the game's version"));
        let revised = |app: &mut App| {
            app.replicate::<next_revision::Hull>();
        };
        assert!(
            difference(revised)
                .unwrap()
                .contains("component next_revision::Hull here")
        );
        let more = |app: &mut App| {
            same(app);
            app.predicted::<crate::protocol::pose::Position>();
        };
        assert!(
            difference(more)
                .unwrap()
                .ends_with("here, the game's version at the server")
        );
        let _ = next_revision::Hull { points: 0 }.points;
    }

    #[test]
    fn hashes_of_another_length_are_compared_as_far_as_they_go() {
        let ours = ours();
        let hashes = ours.hashes();
        assert_eq!(ours.first_difference(&[]), Some(0));
        assert_eq!(ours.first_difference(&hashes[..4]), Some(2));
        assert_eq!(ours.first_difference(&hashes[..3]), None, "an odd number");
        assert_eq!(
            ours.first_difference(&[hashes, &[0, 0]].concat()),
            Some(hashes.len() / 2)
        );
        let hostile = ours.difference_in_words(99, Some("\u{1b}[2J"));
        assert_eq!(
            hostile,
            "the first difference: nothing more here,  [2J at the server"
        );
    }

    proptest::proptest! {
        #[test]
        fn any_bytes_of_a_client_are_compared(bytes in proptest::collection::vec(proptest::prelude::any::<u8>(), 0..64)) {
            let ours = ours();
            if let Some(index) = ours.first_difference(&bytes) {
                proptest::prop_assert!(index <= ours.hashes().len() / 2);
            }
        }
    }
}

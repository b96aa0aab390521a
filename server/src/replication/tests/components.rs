//! Components that are too large for one packet.

use std::sync::Arc;

use bevy_app::App;
use bevy_ecs::prelude::Component;
use serde::{Deserialize, Serialize};
use throng_shared::protocol::ids::ComponentId;
use throng_shared::protocol::registry::{Protocol, ProtocolAppExt};
use throng_shared::tick::Tick;

use crate::boundary::frame::{ColdCell, ColdRow, Identity};
use crate::replication::components::{ComponentUpdate, Encoded, SentValue, ViewerIdentity, Viewers};

#[derive(Component, Serialize, Deserialize, Clone)]
struct Bulk<const N: u8>(Vec<u8>);

/// Returns the bytes sent of an entity with components of these sizes, and how many of its components were
/// refused.
fn push(sizes: [usize; 3]) -> (Vec<usize>, u64) {
    let mut app = App::empty();
    app.replicate::<Bulk<0>>();
    app.replicate::<Bulk<1>>();
    app.replicate::<Bulk<2>>();
    let protocol = app.world().resource::<Protocol>().clone();
    let values: [Arc<dyn std::any::Any + Send + Sync>; 3] = [
        Arc::new(Bulk::<0>(vec![7; sizes[0]])),
        Arc::new(Bulk::<1>(vec![7; sizes[1]])),
        Arc::new(Bulk::<2>(vec![7; sizes[2]])),
    ];
    let cell = |(id, value): (u8, _)| ColdCell {
        id: ComponentId(id),
        changed: Tick(1),
        value,
    };
    let row = ColdRow {
        mask: 0b111,
        changed: Tick(1),
        components: (0..).zip(values).map(cell).collect(),
    };
    let (mut encoded, mut refused) = (Encoded::default(), 0);
    let viewers = Viewers::new(&protocol);
    let update = ComponentUpdate {
        row: &row,
        identity: &Identity::default(),
        viewer: ViewerIdentity::default(),
        viewers: &viewers,
        protocol: &protocol,
        since: None,
        base: None,
    };
    let (place, _) = encoded.push(&update, &mut refused);
    let (head, values) = encoded.get(place);
    let lengths: Vec<_> = values
        .map(|value| match value {
            SentValue::Bytes(bytes) => bytes.len(),
            SentValue::Steps(_) => panic!("none of them is numbers"),
        })
        .collect();
    assert_eq!(head.included.count_ones() as usize, lengths.len());
    assert_eq!(
        head.present, head.included,
        "the client keeps no older value of another"
    );
    (lengths, refused)
}

#[test]
fn components_that_do_not_fit_a_packet_are_refused_and_counted() {
    // A vector takes its bytes and its length, which is one byte, or three for more than 250 bytes.
    assert_eq!(push([100, 200, 1]), (vec![101, 201, 2], 0));
    assert_eq!(push([400, 400, 90]), (vec![403, 403, 91], 0));
    assert_eq!(
        push([400, 400, 94]),
        (vec![403, 403], 1),
        "more than 900 together"
    );
    assert_eq!(push([509, 510, 1]), (vec![512, 2], 1), "more than 512 alone");
    assert_eq!(
        push([400, 500, 100]),
        (vec![403, 101], 1),
        "a smaller one after it still fits"
    );
}

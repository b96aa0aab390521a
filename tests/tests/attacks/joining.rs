//! Refused joins: over HTTP, and by the worker after a successful join over HTTP.

use throng_client::join::JoinError;
use throng_shared::protocol::{
    hello::Goodbye,
    version::{ProtocolHash, ProtocolVersion},
};

use super::{AttackedServer, peers::Peer};

#[test]
fn another_protocol_is_refused_over_http_and_by_the_worker_naming_both_versions() {
    let mut attacked = AttackedServer::start();
    let quiet = attacked.run_bots(|_| true);
    let ours = attacked.protocol.version();
    let other = ProtocolVersion {
        hash: ProtocolHash(ours.hash.0 ^ 1),
        ..ours
    };
    let joiner = attacked.joiner();
    let attack = || {
        for _ in 0..200 {
            let error = joiner.join("stranger", &other, None).unwrap_err();
            assert!(matches!(error, JoinError::WrongVersion { .. }), "{error}");
            let sentence = error.to_string();
            for version in [ours, other] {
                assert!(sentence.contains(&version.to_string()), "{sentence}");
            }
        }
        assert!(joiner.join("", &ours, None).is_err());
        assert!(joiner.join(&"x".repeat(5_000), &ours, None).is_err());
    };
    let (during, ()) = attacked.run_during(attack, |_| true);
    assert_eq!(during.counted("protocol_mismatch"), 200);
    assert_eq!(
        during.counted_of(&["bad_name", "body_too_large", "tokens_issued"]),
        2
    );
    attacked.assert_bots_unaffected("joins with another protocol", &quiet, &during);

    // The client's program was replaced after it had joined.
    let joined = attacked.joiner().join("changeling", &ours, None).unwrap();
    let attack = || {
        let mut peer = Peer::connect(&joined);
        peer.greet(other);
        Goodbye::read(&peer.received[0])
    };
    let (during, goodbye) = attacked.run_during(attack, |_| true);
    let expected = Goodbye::ProtocolMismatch {
        server: ours,
        client: other,
    };
    assert_eq!(goodbye, Ok(expected));
    assert_eq!(during.counted("protocol_mismatches"), 1);
    attacked.assert_bots_unaffected("a hello with another protocol", &quiet, &during);
}

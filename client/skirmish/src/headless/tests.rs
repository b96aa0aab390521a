//! Tests the parser of the script language: valid commands, and messages for invalid ones.

use std::time::Duration;

use skirmish_shared::chat::{ChatChannel, Say};
use throng_client::link::LinkConditions;

use super::script::{Comparison, Figure, Script, ScriptCommand};

#[test]
fn script_commands_are_parsed_with_their_lines() {
    let text = "# takes off\n\nwait flying\nwait flying 20s\nthrust 100 # full\nturn -50\naim 90\nfire on\nboost off\n\
                wait 1.5s\nline latency 75ms jitter 10ms loss 5%\nline\nexpect error < 0.5\nexpect moved > 10\n\
                say /team on me # now\nwait chat 2\nwait chat 3 1s\nquit\n";
    let steps = Script::parse("fly.txt", text).unwrap().steps;
    let commands: Vec<_> = steps.iter().map(|step| step.command.clone()).collect();
    let bad = LinkConditions {
        latency: Duration::from_millis(75),
        jitter: Duration::from_millis(10),
        loss: 0.05,
        ..LinkConditions::PERFECT
    };
    let ScriptCommand::Line(read) = commands[8] else {
        panic!("{commands:?}");
    };
    assert!((read.loss - bad.loss).abs() < 1e-6);
    let expected = [
        ScriptCommand::WaitFlying(Duration::from_secs(10)),
        ScriptCommand::WaitFlying(Duration::from_secs(20)),
        ScriptCommand::Thrust(100),
        ScriptCommand::Turn(-50),
        ScriptCommand::Aim(256),
        ScriptCommand::Button(2, true),
        ScriptCommand::Button(1, false),
        ScriptCommand::Wait(Duration::from_millis(1_500)),
        ScriptCommand::Line(LinkConditions {
            loss: read.loss,
            ..bad
        }),
        ScriptCommand::Line(LinkConditions::PERFECT),
        ScriptCommand::Expect(Figure::Error, Comparison::Below, 0.5),
        ScriptCommand::Expect(Figure::Moved, Comparison::Above, 10.0),
        ScriptCommand::Say(Say {
            channel: ChatChannel::Team,
            text: "on me".to_owned(),
        }),
        ScriptCommand::WaitChat(2, Duration::from_secs(10)),
        ScriptCommand::WaitChat(3, Duration::from_secs(1)),
        ScriptCommand::Quit,
    ];
    assert_eq!(commands, expected);
    assert_eq!((steps[0].line, steps[15].line), (3, 18));
}

#[test]
fn script_errors_name_file_line_and_reason() {
    for (line, words) in [
        ("dance", &["`dance` is no command", "thrust N"][..]),
        ("thrust", &["`thrust` is no command"]),
        ("thrust 101", &["`101`", "-100 to 100"]),
        ("turn left", &["`left`"]),
        ("wait 2", &["`2`", "500ms"]),
        ("wait -1s", &["`-1s`"]),
        ("wait NaNs", &["`NaNs`"]),
        ("wait chat some", &["`some`", "whole number"]),
        ("fire maybe", &["`maybe`", "`on`"]),
        ("line latency", &["`latency`"]),
        ("line loss 120%", &["`120%`"]),
        ("say", &["`say` says nothing"]),
        ("say /shout hello", &["/team WORDS"]),
        ("expect fun > 3", &["`fun`", "ping", "hull"]),
        ("expect ping = 3", &["`=`"]),
        ("expect ping < fast", &["`fast`"]),
    ] {
        let text = format!("wait 1s\n{line}\nquit");
        let error = Script::parse("fly.txt", &text).unwrap_err();
        assert_eq!((error.file.as_str(), error.line), ("fly.txt", 2), "{line}");
        let shown = error.to_string();
        assert!(shown.starts_with("fly.txt:2: "), "{shown}");
        for word in words {
            assert!(shown.contains(word), "{line}: {shown}");
        }
    }
}

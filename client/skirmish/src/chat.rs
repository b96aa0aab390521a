//! Converts a line typed by the player to a message for the server, and a received message to a line of text.

use skirmish_shared::chat::{ChatChannel, ChatLine, Say, clean};

/// Parses a typed line into a message with its channel; `None` for an empty line.
///
/// # Errors
/// The list of commands, when the line begins with an unknown one.
pub(crate) fn parse_line(line: &str) -> Result<Option<Say>, &'static str> {
    let line = clean(line);
    let say = |channel, text: &str| {
        Ok((!text.is_empty()).then(|| Say {
            channel,
            text: text.to_owned(),
        }))
    };
    let Some(command) = line.strip_prefix('/') else {
        return say(ChatChannel::Nearby, &line);
    };
    let (verb, rest) = command.split_once(' ').unwrap_or((command, ""));
    match verb {
        "team" | "t" => say(ChatChannel::Team, rest),
        "tell" | "w" => {
            let (name, words) = rest.split_once(' ').unwrap_or((rest, ""));
            say(ChatChannel::Tell(name.to_owned()), words)
        }
        _ => Err("There are /team WORDS and /tell NAME WORDS."),
    }
}

/// Formats a received message as a line for players: sender, recipients and text.
pub(crate) fn chat_text(received: &ChatLine) -> String {
    let (from, said) = (&received.from, &received.text);
    match &received.channel {
        ChatChannel::Nearby => format!("{from}: {said}"),
        ChatChannel::Team => format!("[team] {from}: {said}"),
        ChatChannel::Tell(to) => format!("[{from} to {to}] {said}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chat_line_is_parsed_into_channel_and_text() {
        let say = |line| parse_line(line).unwrap().map(|say| (say.channel, say.text));
        assert_eq!(say("hello"), Some((ChatChannel::Nearby, "hello".into())));
        assert_eq!(say("/team on me"), Some((ChatChannel::Team, "on me".into())));
        assert_eq!(
            say("/tell Ada hi there"),
            Some((ChatChannel::Tell("Ada".into()), "hi there".into()))
        );
        assert_eq!(say("/team"), None);
        assert_eq!(say(""), None);
        assert!(parse_line("/fly").is_err());
    }
}

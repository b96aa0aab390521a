//! What a player writes, as what the server is told; and what is heard, as a line.

use skirmish_shared::chat::{ChatChannel, ChatLine, Say, clean};

/// Who is to hear a line and what; nothing for an empty one.
///
/// # Errors
/// With the commands that there are, when it begins with another one.
pub(crate) fn addressed(line: &str) -> Result<Option<Say>, &'static str> {
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

/// What was heard as the line that a player reads: who said it, to whom, and what.
pub(crate) fn spoken(heard: &ChatLine) -> String {
    let (from, said) = (&heard.from, &heard.text);
    match &heard.channel {
        ChatChannel::Nearby => format!("{from}: {said}"),
        ChatChannel::Team => format!("[team] {from}: {said}"),
        ChatChannel::Tell(to) => format!("[{from} to {to}] {said}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_find_who_they_are_for() {
        let say = |line| addressed(line).unwrap().map(|say| (say.channel, say.text));
        assert_eq!(say("hello"), Some((ChatChannel::Nearby, "hello".into())));
        assert_eq!(say("/team on me"), Some((ChatChannel::Team, "on me".into())));
        assert_eq!(
            say("/tell Ada hi there"),
            Some((ChatChannel::Tell("Ada".into()), "hi there".into()))
        );
        assert_eq!(say("/team"), None);
        assert_eq!(say(""), None);
        assert!(addressed("/fly").is_err());
    }
}

//! The settings as a user writes them: defaults, precedence, and the messages of refusals.

use std::ffi::OsString;
use std::io::Write;

use super::error::Origin;
use super::settings::workers_for;
use super::*;
use crate::net::socket::IoKind;

/// Settings of a test game.
#[derive(Args, Clone, Debug, PartialEq)]
struct Dungeon {
    /// Monsters at the start.
    #[arg(long, value_name = "N", default_value = "100", value_parser = number::<u32>(0..=5_000))]
    monsters: u32,
    /// Whether players can hurt each other.
    #[arg(long)]
    duels: bool,
    /// The map.
    #[arg(long, value_name = "FILE")]
    map: Option<PathBuf>,
}

const DUNGEON: (&str, &str) = ("dungeon", "A dungeon.");

fn read(flags: &[&str], variables: &[(&str, &str)]) -> Result<Settings<Dungeon>, ConfigError> {
    let flags = ["dungeon"].iter().chain(flags).map(OsString::from);
    Settings::read(
        DUNGEON,
        flags,
        variables.iter().map(|&(name, value)| (name.into(), value.into())),
    )
}

fn refusal(flags: &[&str], variables: &[(&str, &str)]) -> String {
    read(flags, variables).expect_err("must be refused").to_string()
}

/// Returns the keys of all settings, with the message about what each accepts.
fn accepted() -> Vec<(String, String)> {
    let command = command::<Dungeon>(DUNGEON.0, DUNGEON.1);
    let keys = command.get_arguments().filter_map(key_of);
    // Clap itself has the message for a path.
    let keys = keys.filter(|key| key != CONFIG_KEY && key != "map");
    keys.map(|key| {
        let variable = Origin::Variable.spell(&key);
        let refused = ["", "=nonsense/"].map(|bad| read(&[], &[(&variable, bad)]));
        let error = refused
            .into_iter()
            .find_map(Result::err)
            .expect("something is refused");
        let message = error.to_string();
        let (_, accepted) = message
            .split_once(": must be ")
            .unwrap_or_else(|| panic!("{message}"));
        (key, accepted.to_owned())
    })
    .collect()
}

/// A configuration file that is removed when dropped.
struct File(PathBuf);

impl File {
    fn new(name: &str, text: &str) -> Self {
        let path = std::env::temp_dir().join(format!("throng-{}-{name}.toml", std::process::id()));
        std::fs::File::create(&path)
            .unwrap()
            .write_all(text.as_bytes())
            .unwrap();
        Self(path)
    }

    fn path(&self) -> &str {
        self.0.to_str().unwrap()
    }
}

impl Drop for File {
    fn drop(&mut self) {
        std::fs::remove_file(&self.0).unwrap();
    }
}

#[test]
fn settings_have_their_defaults() {
    let Settings { server, game, .. } = read(&[], &[]).unwrap();
    assert_eq!(server.http, "127.0.0.1:8080".parse().unwrap());
    assert_eq!(server.udp, "127.0.0.1:5000".parse().unwrap());
    assert_eq!((server.tick_rate, game.monsters, game.duels), (20, 100, false));
    assert_eq!((server.known_max, server.bandwidth), (255, 24_576));
    assert_eq!((server.io, server.affinity.clone()), (IoKind::native(), None));
    assert!(server.workers >= 1);
    assert_eq!(
        (workers_for(1), workers_for(2), workers_for(3), workers_for(16)),
        (1, 1, 1, 14)
    );
}

#[test]
fn flags_override_variables_and_variables_override_the_file() {
    let file = File::new(
        "order",
        "tick_rate = 30\nseed = 3\nmonsters = 7\nudp_shared = true\nduels = true\n",
    );
    let variables = [
        ("THRONG_TICK_RATE", "40"),
        ("THRONG_SEED", "4"),
        ("THRONG_CONFIG", file.path()),
    ];
    let Settings { server, game, .. } = read(&["--tick-rate", "50"], &variables).unwrap();
    assert_eq!((server.tick_rate, server.seed), (50, 4));
    assert_eq!((game.monsters, game.duels, server.udp_shared), (7, true, true));
    let flags = ["--udp-shared=false", "--duels", "--config", file.path()];
    let Settings { server, game, .. } = read(&flags, &[]).unwrap();
    assert_eq!(
        (server.tick_rate, server.udp_shared, game.duels),
        (30, false, true)
    );
}

#[test]
fn game_without_settings_has_only_the_servers_settings() {
    let read = |flags: &[&str], variables: &[(&str, &str)]| {
        let flags = ["coins"].iter().chain(flags).map(OsString::from);
        let variables = variables.iter().map(|(name, value)| (name.into(), value.into()));
        Settings::<()>::read(("coins", "Coins."), flags, variables)
    };
    let settings = read(&["--tick-rate", "60"], &[]).unwrap();
    assert_eq!((settings.server.tick_rate, settings.server.audit), (60, false));
    assert_eq!(settings.recorded, []);
    for flag in ["--scene", "--entities", "--visible", "--content", "--monsters"] {
        let error = read(&[flag, "5"], &[]).unwrap_err().to_string();
        assert!(
            error.contains(&format!("unexpected argument '{flag}'")),
            "{error}"
        );
    }
    let error = read(&[], &[("THRONG_SCENE", "crowd")]).unwrap_err().to_string();
    assert!(error.contains("THRONG_SCENE"), "{error}");
    let help = read(&["--help"], &[]).unwrap_err().to_string();
    assert!(
        help.contains("--tick-rate") && help.contains("Coins.") && !help.contains("--monsters"),
        "{help}"
    );
}

#[test]
fn recorded_settings_are_the_games_except_paths() {
    let settings = read(
        &["--monsters", "1_0", "--map", "a.map"],
        &[("THRONG_DUELS", "true")],
    )
    .unwrap();
    assert_eq!(settings.game.map.as_deref(), Some(std::path::Path::new("a.map")));
    let expected =
        [("monsters", "1_0"), ("duels", "true")].map(|(key, text)| (key.to_owned(), text.to_owned()));
    assert_eq!(settings.recorded, expected);
    let again: Dungeon = recorded_game("dungeon", &settings.recorded).unwrap();
    assert_eq!(
        again,
        Dungeon {
            map: None,
            ..settings.game
        }
    );
    let too_many = [("monsters".to_owned(), "5001".to_owned())];
    let error = recorded_game::<Dungeon>("dungeon", &too_many).unwrap_err();
    assert!(error.to_string().contains("0 to 5000"), "{error}");
}

#[test]
fn settings_are_well_formed() {
    let command = command::<Dungeon>(DUNGEON.0, DUNGEON.1);
    command.clone().debug_assert();
    assert_eq!(command.get_about().unwrap().to_string(), DUNGEON.1);
    for arg in command.get_arguments() {
        let key = key_of(arg).unwrap();
        assert!(
            key.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_'),
            "{key}"
        );
        let help = arg.get_help().unwrap().to_string();
        assert!(
            !help.ends_with('.') && arg.get_long_help().is_none(),
            "{key}: {help}"
        );
    }
}

#[test]
fn setting_names_are_spelled_by_origin() {
    assert_eq!(Origin::Flag.spell("tick_rate"), "--tick-rate");
    assert_eq!(Origin::Variable.spell("tick_rate"), "THRONG_TICK_RATE");
    assert_eq!(Origin::Default.spell("tick_rate"), "tick_rate");
}

#[test]
fn numeric_settings_refuse_values_beyond_their_range_and_words() {
    let mut numbers = 0;
    for (key, accepted) in accepted() {
        let Some((start, end)) = accepted
            .strip_prefix("a number from ")
            .and_then(|range| range.split_once(" to "))
        else {
            continue;
        };
        numbers += 1;
        let (start, end): (u64, u64) = (start.parse().unwrap(), end.parse().unwrap());
        let below = start
            .checked_sub(1)
            .map_or("-1".to_owned(), |number| number.to_string());
        let above = (u128::from(end) + 1).to_string();
        let (flag, name) = (Origin::Flag.spell(&key), Origin::Variable.spell(&key));
        for bad in [below.as_str(), above.as_str(), "many", "", "1.5"] {
            let from_flag = refusal(&[&flag, bad], &[]);
            assert_eq!(from_flag, format!("`{flag} {bad}`: must be {accepted}"));
            let from_variable = refusal(&[], &[(&name, bad)]);
            assert_eq!(
                from_variable,
                format!("`{name}={bad}` in the environment: must be {accepted}")
            );
        }
        for good in [start, end] {
            // Some extremes conflict with the defaults of other settings, but none is refused for its range.
            if let Err(error) = read(&[&flag, &good.to_string()], &[]) {
                assert!(matches!(error, ConfigError::Value(..)), "{error}");
                assert!(!error.to_string().contains("must be a number"), "{error}");
            }
        }
    }
    assert_eq!(numbers, 27);
}

#[test]
fn other_settings_refuse_nonsense_by_name() {
    let mut others = 0;
    for (key, accepted) in accepted() {
        let bad = match accepted.as_str() {
            number if number.starts_with("a number") => continue,
            "a PEM file" => "",
            _ => "=nonsense/",
        };
        others += 1;
        let name = Origin::Variable.spell(&key);
        assert_eq!(
            refusal(&[], &[(&name, bad)]),
            format!("`{name}={bad}` in the environment: must be {accepted}")
        );
    }
    assert_eq!(others, 17);
}

#[test]
fn log_takes_levels_and_modules_with_levels() {
    for good in [
        "off",
        "info",
        "throng_server::net=debug",
        "warn,throng_server::net=off,mio",
    ] {
        assert_eq!(read(&["--log", good], &[]).unwrap().server.log, good);
    }
    for bad in ["", "info,", "info, mio", "mio=loud", "a=b=info", "mio[tick]=info"] {
        assert!(
            refusal(&[], &[("THRONG_LOG", bad)]).contains("must be a level"),
            "{bad}"
        );
    }
}

#[test]
fn invalid_flag_is_reported_before_other_sources() {
    let message = refusal(&["--tick-rate", "300"], &[("THRONG_TICK_RATE", "300")]);
    assert_eq!(message, "`--tick-rate 300`: must be a number from 1 to 128");
    // A valid flag hides an invalid variable.
    assert!(read(&["--tick-rate", "30"], &[("THRONG_TICK_RATE", "300")]).is_ok());
}

#[test]
fn invalid_value_in_the_file_is_reported_with_the_file() {
    for (text, written) in [
        ("tick_rate = 300", "tick_rate = 300"),
        ("tick_rate = \"fast\"", "tick_rate = fast"),
        ("tick_rate = 20.5", "tick_rate = 20.5"),
        ("tick_rate = -1", "tick_rate = -1"),
        ("tick_rate = true", "tick_rate = true"),
        ("tick_rate = [20]", "tick_rate = a list"),
        ("[tick_rate]\nhz = 20", "tick_rate = a table"),
    ] {
        let file = File::new("bad-value", text);
        let message = refusal(&["--config", file.path()], &[]);
        assert_eq!(
            message,
            format!("`{written}` in {}: must be a number from 1 to 128", file.path())
        );
    }
}

#[test]
fn unknown_setting_is_refused_with_a_suggestion() {
    let file = File::new("unknown", "tick_rat = 20\n");
    let message = refusal(&["--config", file.path()], &[]);
    let expected = format!(
        "`tick_rat` in {} is not a setting (did you mean `tick_rate`?); --help lists them",
        file.path()
    );
    assert_eq!(message, expected);

    let message = refusal(&[], &[("THRONG_TICKRATE", "20")]);
    let expected = "`THRONG_TICKRATE` in the environment is not a setting (did you mean `THRONG_TICK_RATE`?); \
                    --help lists them";
    assert_eq!(message, expected);
    assert!(refusal(&["--tick-rat", "20"], &[]).contains("--tick-rate"));
    assert!(!refusal(&[], &[("THRONG_SOMETHING_ELSE", "1")]).contains("did you mean"));
}

#[test]
fn variables_of_a_kubernetes_service_named_throng_are_ignored() {
    let variables = [
        ("THRONG_SERVICE_HOST", "10.0.0.1"),
        ("THRONG_PORT_8080_TCP_ADDR", "10.0.0.1"),
    ];
    assert!(read(&[], &variables).is_ok());
}

#[test]
fn missing_or_malformed_configuration_file_is_named() {
    let message = refusal(&["--config", "/nowhere/throng.toml"], &[]);
    assert!(
        message.starts_with("cannot read the configuration file /nowhere/throng.toml: "),
        "{message}"
    );
    let file = File::new("malformed", "tick_rate = = 20");
    let message = refusal(&["--config", file.path()], &[]);
    assert!(
        message.starts_with(&format!(
            "the configuration file {} is not valid TOML: ",
            file.path()
        )),
        "{message}"
    );
}

#[cfg(unix)]
#[test]
fn variable_that_is_not_unicode_is_named() {
    use std::os::unix::ffi::OsStringExt;
    let variable = ("THRONG_SEED".into(), OsString::from_vec(vec![0xff]));
    let error =
        Settings::<Dungeon>::read(DUNGEON, ["dungeon".into()], [variable]).expect_err("must be refused");
    assert_eq!(
        error.to_string(),
        "`THRONG_SEED` in the environment: must be Unicode text"
    );
}

#[test]
fn http_beyond_loopback_needs_tls() {
    for address in [
        "0.0.0.0:8080",
        "[::]:8080",
        "192.168.1.5:8080",
        "[2001:db8::1]:443",
    ] {
        let message = refusal(&["--http", address], &[]);
        assert!(
            message.starts_with(&format!("`--http {address}`: not a loopback address")),
            "{message}"
        );
        assert!(
            message.contains("--tls-cert") && message.contains("--behind-tls-proxy"),
            "{message}"
        );
        assert!(read(&["--http", address, "--behind-tls-proxy"], &[]).is_ok());
        assert!(
            read(
                &["--http", address, "--tls-cert", "a.pem", "--tls-key", "b.pem"],
                &[]
            )
            .is_ok()
        );
    }
    for address in ["127.0.0.1:0", "127.8.8.8:80", "[::1]:8080"] {
        assert!(read(&["--http", address], &[]).is_ok(), "{address}");
    }
}

#[test]
fn proxies_need_a_proxy() {
    assert!(refusal(&["--proxies", "10.0.0.0/8"], &[]).contains("needs --behind-tls-proxy"));
    let settings = read(&["--proxies", "10.0.0.0/8, ::1", "--behind-tls-proxy"], &[]).unwrap();
    let expected = [("10.0.0.0", 8), ("::1", 128)].map(|(address, bits)| (address.parse().unwrap(), bits));
    assert_eq!(settings.server.proxies, Some(expected.to_vec()));
}

#[test]
fn tls_certificate_and_key_need_each_other() {
    assert!(refusal(&["--tls-cert", "a.pem"], &[]).contains("needs --tls-key"));
    assert!(refusal(&["--tls-key", "a.pem"], &[]).contains("needs --tls-cert"));
}

#[test]
fn wildcard_udp_address_needs_an_advertised_address() {
    for address in ["0.0.0.0:5000", "[::]:5000"] {
        assert!(refusal(&["--udp", address], &[]).contains("--advertise"));
        assert!(read(&["--udp", address, "--advertise", "2001:db8::7"], &[]).is_ok());
    }
    for bad in [
        "0.0.0.0",
        "[::]:5000",
        "224.0.0.1",
        "203.0.113.7:0",
        "play.example.com",
    ] {
        assert!(
            refusal(&["--advertise", bad], &[]).contains("must be an IP address"),
            "{bad}"
        );
    }
}

#[test]
fn worker_ports_beyond_65535_are_refused() {
    assert!(refusal(&["--udp", "127.0.0.1:65534", "--workers", "3"], &[]).contains("3 workers"));
    assert!(refusal(&["--advertise", "203.0.113.7:65535", "--workers", "2"], &[]).contains("2 workers"));
    assert!(read(&["--udp", "127.0.0.1:65534", "--workers", "2"], &[]).is_ok());
    assert!(
        read(
            &["--udp", "127.0.0.1:65535", "--workers", "8", "--udp-shared"],
            &[]
        )
        .is_ok()
    );
}

#[test]
fn clients_are_given_the_advertised_address_of_their_worker() {
    let bound = "[::]:6001".parse().unwrap();
    let advertised = |flags: &[&str]| {
        let flags: Vec<&str> = flags.iter().chain(&["--udp", "[::]:6000"]).copied().collect();
        read(&flags, &[]).unwrap().server.advertised(1, bound).to_string()
    };
    assert_eq!(advertised(&["--advertise", "2001:db8::7"]), "[2001:db8::7]:6001");
    assert_eq!(
        advertised(&["--advertise", "[2001:db8::7]"]),
        "[2001:db8::7]:6001"
    );
    assert_eq!(
        advertised(&["--advertise", "203.0.113.7:7000"]),
        "203.0.113.7:7001"
    );
    assert_eq!(
        advertised(&["--advertise", "203.0.113.7:7000", "--udp-shared"]),
        "203.0.113.7:7000"
    );
    assert_eq!(read(&[], &[]).unwrap().server.advertised(1, bound), bound);
}

//! The settings as a user writes them: defaults, precedence, and the words of every refusal.

use std::ffi::OsString;
use std::io::Write;

use super::super::settings::{Allowed, SETTINGS};
use super::*;

fn read(flags: &[&str], variables: &[(&str, &str)]) -> Result<Config, ConfigError> {
    let flags = ["throng-server"].iter().chain(flags).map(OsString::from);
    Config::from_sources(
        flags,
        variables.iter().map(|&(name, value)| (name.into(), value.into())),
    )
}

fn refusal(flags: &[&str], variables: &[(&str, &str)]) -> String {
    read(flags, variables).expect_err("must be refused").to_string()
}

/// A configuration file that lives as long as the guard.
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
fn without_anything_the_defaults() {
    let config = read(&[], &[]).unwrap();
    assert_eq!(config.http, "127.0.0.1:8080".parse().unwrap());
    assert_eq!(config.udp, "127.0.0.1:5000".parse().unwrap());
    assert_eq!(
        (config.tick_rate, config.scene),
        (
            20,
            Scene::Crowd {
                entities: 1_000,
                visible: 60
            }
        )
    );
    assert_eq!(config.known_max, 255);
    assert!(config.workers >= 1);
    assert_eq!(
        (workers_for(1), workers_for(2), workers_for(3), workers_for(16)),
        (1, 1, 1, 14)
    );
}

#[test]
fn flags_win_over_variables_over_the_file() {
    let file = File::new(
        "order",
        "tick_rate = 30\nseed = 3\nscene = \"static\"\nudp_shared = true\n",
    );
    let variables = [
        ("THRONG_TICK_RATE", "40"),
        ("THRONG_SEED", "4"),
        ("THRONG_CONFIG", file.path()),
    ];
    let config = read(&["--tick-rate", "50"], &variables).unwrap();
    assert_eq!((config.tick_rate, config.seed), (50, 4));
    assert_eq!(
        (config.scene, config.udp_shared),
        (Scene::Static { entities: 100_000 }, true)
    );
    let config = read(&["--udp-shared=false", "--config", file.path()], &[]).unwrap();
    assert_eq!((config.tick_rate, config.udp_shared), (30, false));
}

#[test]
fn every_scene_has_its_number_of_entities() {
    let scene = |flags: &[&str]| read(flags, &[]).unwrap().scene;
    assert_eq!(scene(&["--scene", "hotspot"]), Scene::Hotspot { entities: 2_000 });
    assert_eq!(
        scene(&["--scene", "hotspot", "--entities", "5"]),
        Scene::Hotspot { entities: 5 }
    );
    assert_eq!(scene(&["--scene", "idle", "--entities", "5"]), Scene::Idle);
    assert_eq!(
        scene(&["--entities", "0", "--visible", "9"]),
        Scene::Crowd {
            entities: 0,
            visible: 9
        }
    );
}

#[test]
fn a_game_of_its_own_has_no_scenes_to_choose_from() {
    let read = |flags: &[&str], variables: &[(&str, &str)]| {
        let flags = ["coins"].iter().chain(flags).map(OsString::from);
        let variables = variables.iter().map(|(name, value)| (name.into(), value.into()));
        Config::of_game_from_sources(flags, variables)
    };
    let config = read(&["--tick-rate", "60"], &[]).unwrap();
    assert_eq!(
        (config.tick_rate, config.scene, config.audit),
        (60, Scene::Idle, false)
    );
    for flag in ["--scene", "--entities", "--visible", "--content"] {
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
        help.contains("--tick-rate") && !help.contains("--visible"),
        "{help}"
    );
}

#[test]
fn every_numeric_setting_refuses_both_sides_of_its_range_and_words() {
    for setting in SETTINGS {
        let Allowed::Number(range) = &setting.allowed else {
            continue;
        };
        let below = range
            .start()
            .checked_sub(1)
            .map_or("-1".to_owned(), |number| number.to_string());
        let above = (u128::from(*range.end()) + 1).to_string();
        for bad in [below.as_str(), above.as_str(), "many", "", "1.5"] {
            let from_flag = refusal(&[&setting.flag(), bad], &[]);
            let expected = format!("`{} {bad}`: must be {}", setting.flag(), setting.allowed);
            assert_eq!(from_flag, expected);
            let from_variable = refusal(&[], &[(&setting.variable(), bad)]);
            let name = setting.variable();
            assert_eq!(
                from_variable,
                format!("`{name}={bad}` in the environment: must be {}", setting.allowed)
            );
        }
        for good in [range.start(), range.end()] {
            // Some extremes do not go with the defaults of others, but none is refused for its range.
            if let Err(error) = read(&[&setting.flag(), &good.to_string()], &[]) {
                assert!(matches!(error, ConfigError::Conflict { .. }), "{error}");
            }
        }
    }
}

#[test]
fn every_other_setting_refuses_nonsense_by_name() {
    for setting in SETTINGS {
        let bad = match setting.allowed {
            Allowed::Number(_) => continue,
            Allowed::Text("a PEM file") => "",
            Allowed::Text(_) | Allowed::Word(_) | Allowed::Switch => "=nonsense/",
        };
        let message = refusal(&[], &[(&setting.variable(), bad)]);
        let expected = format!(
            "`{}={bad}` in the environment: must be {}",
            setting.variable(),
            setting.allowed
        );
        assert_eq!(message, expected);
    }
}

#[test]
fn a_bad_value_in_the_file_names_the_file() {
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
fn an_unknown_key_is_an_error_with_a_suggestion() {
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
fn what_kubernetes_sets_for_a_service_named_throng_is_no_typing_error() {
    let variables = [
        ("THRONG_SERVICE_HOST", "10.0.0.1"),
        ("THRONG_PORT_8080_TCP_ADDR", "10.0.0.1"),
    ];
    assert!(read(&[], &variables).is_ok());
}

#[test]
fn a_file_that_is_missing_or_not_toml_is_named() {
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
fn a_variable_that_is_not_unicode_is_named() {
    use std::os::unix::ffi::OsStringExt;
    let variable = ("THRONG_SEED".into(), OsString::from_vec(vec![0xff]));
    let error = Config::from_sources(["throng-server".into()], [variable]).expect_err("must be refused");
    assert_eq!(
        error.to_string(),
        "`THRONG_SEED` in the environment: must be Unicode text"
    );
}

#[test]
fn http_off_loopback_needs_tls() {
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
fn half_an_identity_is_refused() {
    assert!(refusal(&["--tls-cert", "a.pem"], &[]).contains("needs --tls-key"));
    assert!(refusal(&["--tls-key", "a.pem"], &[]).contains("needs --tls-cert"));
}

#[test]
fn a_wildcard_udp_address_needs_an_advertised_one() {
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
fn ports_may_not_run_past_the_last() {
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
fn clients_are_told_the_advertised_address_of_their_worker() {
    let bound = "[::]:6001".parse().unwrap();
    let told = |flags: &[&str]| {
        let flags: Vec<&str> = flags.iter().chain(&["--udp", "[::]:6000"]).copied().collect();
        read(&flags, &[]).unwrap().advertised(1, bound).to_string()
    };
    assert_eq!(told(&["--advertise", "2001:db8::7"]), "[2001:db8::7]:6001");
    assert_eq!(told(&["--advertise", "[2001:db8::7]"]), "[2001:db8::7]:6001");
    assert_eq!(told(&["--advertise", "203.0.113.7:7000"]), "203.0.113.7:7001");
    assert_eq!(
        told(&["--advertise", "203.0.113.7:7000", "--udp-shared"]),
        "203.0.113.7:7000"
    );
    assert_eq!(read(&[], &[]).unwrap().advertised(1, bound), bound);
}

#[test]
fn cpu_lists() {
    assert_eq!(cpu_list("2,3"), Some(vec![2, 3]));
    assert_eq!(cpu_list("0, 4-6"), Some(vec![0, 4, 5, 6]));
    for bad in ["", "a", "3-2", "1-", "-1", "0-9999999999", "1024"] {
        assert_eq!(cpu_list(bad), None, "{bad}");
    }
}

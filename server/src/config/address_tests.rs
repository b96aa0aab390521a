//! Addresses that stand for many hosts, and files that cannot be settings.

use std::ffi::OsString;
use std::path::Path;

use super::*;

fn refusal(flags: &[&str]) -> String {
    let flags = ["coins"].iter().chain(flags).map(OsString::from);
    let read = Settings::<()>::read(("coins", "Coins."), flags, []);
    read.expect_err("must be refused").to_string()
}

#[test]
fn addresses_of_many_hosts_are_refused_in_every_setting() {
    for flag in ["--http", "--udp", "--advertise"] {
        for address in [
            "224.0.0.1:5000",
            "239.255.255.250:5000",
            "[ff02::1]:5000",
            "[::ffff:224.0.0.1]:5000",
        ] {
            let expected = "must be an IP address of one host, and this one is a multicast address";
            assert_eq!(
                refusal(&[flag, address]),
                format!("`{flag} {address}`: {expected}")
            );
        }
        let expected = "must be an IP address of one host, and this one is the broadcast address";
        for address in ["255.255.255.255:5000", "[::ffff:255.255.255.255]:5000"] {
            assert_eq!(
                refusal(&[flag, address]),
                format!("`{flag} {address}`: {expected}")
            );
        }
    }
    assert!(refusal(&["--advertise", "ff02::1"]).contains("multicast"));
    assert!(refusal(&["--advertise", "[::ffff:0.0.0.0]:5000"]).contains("must be an IP address"));
}

#[test]
fn a_configuration_file_has_a_bounded_size() {
    let path = std::env::temp_dir().join(format!("throng-{}-large.toml", std::process::id()));
    std::fs::write(&path, format!("# {}\ntick_rate = 20\n", "x".repeat(1 << 20))).unwrap();
    let message = refusal(&["--config", path.to_str().unwrap()]);
    std::fs::remove_file(&path).unwrap();
    let (name, reason) = (path.display(), "it is larger than 1 MiB, which is the limit");
    assert_eq!(
        message,
        format!("cannot read the configuration file {name}: {reason}")
    );
}

#[cfg(unix)]
#[test]
fn a_configuration_file_that_never_ends_is_refused() {
    for path in ["/dev/zero", "/dev/random"]
        .into_iter()
        .filter(|path| Path::new(path).exists())
    {
        let message = refusal(&["--config", path]);
        let reason = "it is a device, and must be a regular file";
        assert_eq!(
            message,
            format!("cannot read the configuration file {path}: {reason}")
        );
    }
    let folder = std::env::temp_dir();
    let message = refusal(&["--config", folder.to_str().unwrap()]);
    assert!(
        message.ends_with("it is a folder, and must be a regular file"),
        "{message}"
    );
}

//! Tests Skirmish in a real window: the server and the client as they are shipped, input by `xdotool`, and
//! pictures taken by the client itself. Regions of the picture must show the effects of the keys.
//!
//! Needs Xvfb, xdotool and a Vulkan driver, so it runs on request: `.ci/run client` installs them, or `cargo
//! test -p skirmish-client --features window --test window -- --ignored`.

#![expect(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    reason = "a test, which waits for real programs"
)]

mod desktop;
mod picture;

use std::path::Path;
use std::time::Duration;

use desktop::Desktop;
use picture::{Ink, Picture, Region};

// The colours of the interface, as bytes, and by how much a pixel may differ from them.
const ACCENT: Ink = Ink([92, 199, 255], 10);
const WARM: Ink = Ink([255, 194, 76], 10);
const TEXT: Ink = Ink([219, 235, 250], 10);
// The sky is almost as dark.
const FIELD: Ink = Ink([20, 31, 46], 3);
/// The colours of chat lines, by team.
const TEAMS: [Ink; 2] = [Ink([193, 220, 255], 12), Ink([255, 210, 193], 12)];

// Where things are in a window of 1280 x 720.
const BOOST_BAR: Region = Region::new("boost bar", 370, 666, 215, 34);
const MISSILES: Region = Region::new("missiles", 712, 626, 84, 48);
const CHAT: Region = Region::new("chat", 14, 422, 370, 190);
const NET_GRAPH: Region = Region::new("net graph", 880, 12, 386, 410);
/// The upper halves of the plot of the ping: the older and the newer part of its time.
const PING_BEFORE: Region = Region::new("ping before", 1_112, 50, 40, 6);
const PING_NOW: Region = Region::new("ping now", 1_225, 50, 25, 9);
const SLIDERS: Region = Region::new("sliders", 1_110, 342, 142, 62);
const CENTRE: Region = Region::new("centre", 290, 80, 700, 560);

/// The middle and the beginning of the slider of the delay.
const DELAY_HALF: [&str; 2] = ["1181", "350"];
const DELAY_NONE: [&str; 2] = ["1112", "350"];

/// The middle of the button that quits.
const QUIT: [&str; 2] = ["515", "551"];

/// Longest time until the game world appears: the client renders in software and is not optimized.
const ARRIVAL: Duration = Duration::from_secs(90);
/// Longest time until the effect of a key is visible: on a busy machine a frame takes up to a second.
const SOON: Duration = Duration::from_secs(40);

#[test]
#[ignore = "needs Xvfb, xdotool and Vulkan: .ci/run client"]
fn player_in_a_window_flies_fires_chats_and_opens_panels() {
    let mut desktop = Desktop::set_up();
    let world = desktop.picture_when("the instruments", ARRIVAL, |picture| {
        picture.count(BOOST_BAR, WARM) > 1_200
    });

    desktop.hold(&["w", "Shift_L"]);
    let burnt = desktop.picture_when("burnt boost", SOON, |picture| {
        picture.count(BOOST_BAR, WARM) + 200 < world.count(BOOST_BAR, WARM)
    });
    desktop.release(&["w", "Shift_L"]);

    desktop.picture_while("one missile less", SOON, Desktop::click_right, |picture| {
        picture.difference(&burnt, MISSILES, TEXT) > 12
    });

    desktop.press("Return");
    desktop.write("hello from the window");
    desktop.picture_when("the line being written", SOON, |picture| {
        picture.count(CHAT, ACCENT) > world.count(CHAT, ACCENT) + 60
    });
    let spoken = |picture: &Picture| TEAMS.iter().map(|team| picture.count(CHAT, *team)).sum::<usize>();
    desktop.press("Return");
    desktop.picture_when("the line, from the server", SOON, |picture| {
        spoken(picture) > spoken(&world) + 60
    });

    let plots = |picture: &Picture| picture.count(NET_GRAPH, FIELD);
    desktop.press("F3");
    desktop.picture_when("the net graph", SOON, |picture| {
        plots(picture) > plots(&world) + 20_000
    });
    let good = desktop.picture_when("a line without simulation", SOON, |picture| {
        picture.count(SLIDERS, WARM) < 400
    });
    desktop.drag(DELAY_HALF);
    desktop.picture_when("the pulled slider", SOON, |picture| {
        picture.count(SLIDERS, WARM) > good.count(SLIDERS, WARM) + 600
    });
    // With 150 ms each way the plot rises as a step, and the earlier values fall below its middle.
    desktop.picture_when("the longer ping", SOON, |picture| {
        picture.count(PING_NOW, ACCENT) > 10 && picture.count(PING_BEFORE, ACCENT) == 0
    });
    desktop.drag(DELAY_NONE);
    desktop.picture_when("the slider put back", SOON, |picture| {
        picture.count(SLIDERS, WARM) < good.count(SLIDERS, WARM) + 100
    });
    desktop.press("F3");
    desktop.picture_when("no net graph", SOON, |picture| {
        plots(picture) < plots(&world) + 8_000
    });

    desktop.press("F1");
    desktop.picture_when("help", SOON, |picture| {
        picture.count(CENTRE, ACCENT) > world.count(CENTRE, ACCENT) + 400
    });
    desktop.press("F1");

    let buttons = |picture: &Picture| picture.count(CENTRE, FIELD);
    desktop.press("Escape");
    desktop.picture_when("the settings", SOON, |picture| {
        buttons(picture) > buttons(&world) + 25_000
    });
    desktop.press("Escape");
    desktop.picture_when("no settings", SOON, |picture| {
        buttons(picture) < buttons(&world) + 10_000
    });

    desktop.quit(QUIT);
    keep_pictures(&desktop);
}

/// Copies the pictures to the folder in `WINDOW_PICTURES`, for inspection by people.
fn keep_pictures(desktop: &Desktop) {
    let Some(folder) = std::env::var_os("WINDOW_PICTURES") else {
        return;
    };
    std::fs::create_dir_all(&folder).unwrap();
    for picture in desktop.pictures() {
        let name = picture.file_name().unwrap();
        std::fs::copy(&picture, Path::new(&folder).join(name)).unwrap();
    }
}

//! The colours of the game world: teams, hulls, rocks, light. Linear, unless a name says otherwise.
//!
//! Owns [`Colors`], which are built in. A `colors.ron` in the content folder replaces them as soon as it
//! changes. Refuses files with missing or unknown entries or invalid colours, and keeps the current colours
//! then.

use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};
use std::{fs, io};

use bevy::prelude::*;
use bevy::time::common_conditions::on_timer;
use serde::Deserialize;
use skirmish_shared::PILOT_TEAMS;
use throng_shared::files;
use throng_shared::protocol::ids::TeamId;

/// Name of the file in the content folder.
const FILE: &str = "colors.ron";
/// The longest file that is read, in bytes.
const FILE_BYTES_MAX: u64 = 64 * 1024;
/// Time between two checks of the file.
const LOOK_EVERY: Duration = Duration::from_millis(500);
/// Largest value of a colour channel.
const CHANNEL_MAX: f32 = 8.0;

/// The colours that the game world is painted with.
#[derive(Resource, Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Colors {
    /// Colours of the two pilots' teams.
    pub(crate) teams: [Vec3; 2],
    /// Colours of the drone breeds; never empty.
    pub(crate) breeds: Vec<Vec3>,
    /// Colour of the hulls of ships.
    pub(crate) hull: Vec3,
    /// Colour of the hulls of drones.
    pub(crate) drone_hull: Vec3,
    /// Colour of a rock without ore.
    pub(crate) rock: Vec3,
    /// Colour of a rock with much ore.
    pub(crate) ore: Vec3,
    /// Colour of the light of ore.
    pub(crate) ore_light: Vec3,
    /// Colour of a station's hull.
    pub(crate) station: Vec3,
    /// Colour of a station's lights.
    pub(crate) station_light: Vec3,
    /// Colour of fire and explosions.
    pub(crate) fire: Vec3,
    /// Colour of a shield that is hit.
    pub(crate) shield: Vec3,
}

impl Default for Colors {
    fn default() -> Self {
        const BUILT_IN: &str = include_str!("../../../../assets/skirmish/colors.ron");
        Self::parse(BUILT_IN).expect("a test reads the colours that are built in")
    }
}

impl Colors {
    /// Parses the text of a colour file.
    ///
    /// # Errors
    /// A message when the text is not a complete set of colours.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let colors: Self = ron::from_str(text).map_err(|error| error.to_string())?;
        if colors.breeds.is_empty() {
            return Err("`breeds` is empty".to_owned());
        }
        let is_color = |color: &Vec3| {
            let channels = color.to_array();
            channels.iter().all(|part| (0.0..=CHANNEL_MAX).contains(part))
        };
        let wrong = colors.all().find(|color| !is_color(color));
        match wrong {
            Some(color) => Err(format!("{color} is not within 0 and {CHANNEL_MAX}")),
            None => Ok(colors),
        }
    }

    fn all(&self) -> impl Iterator<Item = Vec3> + '_ {
        let bodies = [self.hull, self.drone_hull, self.rock, self.ore, self.station];
        let lights = [self.ore_light, self.station_light, self.fire, self.shield];
        self.teams
            .into_iter()
            .chain(self.breeds.iter().copied())
            .chain(bodies)
            .chain(lights)
    }

    /// Returns the colour of a drone breed.
    pub(crate) fn breed(&self, breed: u8) -> Vec3 {
        self.breeds[usize::from(breed) % self.breeds.len()]
    }

    /// Returns the colour of a pilots' team; of any other team, that of hulls.
    pub(crate) fn team(&self, team: TeamId) -> Vec3 {
        let place = PILOT_TEAMS.iter().position(|other| *other == team);
        place.map_or(self.hull, |place| self.teams[place])
    }
}

/// Converts a linear colour for text and panels.
pub(crate) fn ui(color: Vec3) -> Color {
    Color::linear_rgb(color.x, color.y, color.z)
}

pub(crate) struct ColorsPlugin {
    /// The content folder, if there is one.
    pub(crate) content: Option<PathBuf>,
}

impl Plugin for ColorsPlugin {
    fn build(&self, app: &mut App) {
        app.init_resource::<Colors>();
        if let Some(folder) = &self.content {
            let mut watch = ColorFile::new(folder.join(FILE));
            let update_colors = move |mut colors: ResMut<Colors>| match watch.look() {
                Ok(Some(new)) => {
                    info!("repainted after {}", watch.path.display());
                    *colors = new;
                }
                Ok(None) => {}
                Err(problem) => warn!("{}: {problem}; colours stay as they are", watch.path.display()),
            };
            app.add_systems(PreUpdate, update_colors.run_if(on_timer(LOOK_EVERY)));
        }
    }
}

/// A colour file that is watched for changes.
#[derive(Debug)]
struct ColorFile {
    path: PathBuf,
    seen: Option<SystemTime>,
}

impl ColorFile {
    fn new(path: PathBuf) -> Self {
        Self { path, seen: None }
    }

    /// Returns the colours of the file once after every change; `None` while the file is missing.
    fn look(&mut self) -> Result<Option<Colors>, String> {
        let (changed, bytes) = match status(&self.path) {
            Ok(status) => status,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error.to_string()),
        };
        if self.seen.replace(changed) == Some(changed) {
            return Ok(None);
        }
        if bytes > FILE_BYTES_MAX {
            return Err(format!("it has more than {FILE_BYTES_MAX} bytes"));
        }
        let text = files::read_text(&self.path, FILE_BYTES_MAX).map_err(|error| error.to_string())?;
        Colors::parse(&text).map(Some)
    }
}

fn status(path: &Path) -> io::Result<(SystemTime, u64)> {
    let metadata = fs::metadata(path)?;
    Ok((metadata.modified()?, metadata.len()))
}

#[cfg(test)]
mod tests {
    use super::*;

    const BUILT_IN: &str = include_str!("../../../../assets/skirmish/colors.ron");

    #[test]
    fn built_in_colors_are_valid() {
        let colors = Colors::default();
        assert_eq!(colors.teams[0], Vec3::new(0.06, 0.42, 1.0));
        assert_eq!(colors.breed(0), colors.breed(2));
    }

    #[test]
    fn changed_color_file_is_applied_and_an_invalid_one_reported_once() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(FILE);
        let mut watch = ColorFile::new(path.clone());
        assert_eq!(watch.look(), Ok(None), "there is no file");
        let mut time = SystemTime::UNIX_EPOCH;
        let mut write = |text: &str| {
            fs::write(&path, text).unwrap();
            // Timestamps of file systems are coarse.
            time += Duration::from_secs(2);
            let file = fs::File::options().write(true).open(&path).unwrap();
            file.set_modified(time).unwrap();
        };
        write(BUILT_IN);
        assert_eq!(watch.look(), Ok(Some(Colors::default())));
        assert_eq!(watch.look(), Ok(None), "nothing has changed");
        write(&BUILT_IN.replace("fire: (1.0,", "fire: (0.5,"));
        assert_eq!(watch.look().unwrap().unwrap().fire.x, 0.5);
        for (wrong, word) in [
            (BUILT_IN.replace("fire: (1.0,", "fire: (-1.0,"), "-1"),
            (BUILT_IN.replace("fire: (1.0,", "fire: (inf,"), "inf"),
            (BUILT_IN.replace("fire:", "smoke:"), "smoke"),
            ("(".to_owned(), "1:"),
        ] {
            write(&wrong);
            let problem = watch.look().unwrap_err();
            assert!(problem.contains(word), "{word}: {problem}");
            assert_eq!(watch.look(), Ok(None), "said once");
        }
    }
}

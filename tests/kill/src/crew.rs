//! Several scenes at once, each in a process of its own: most of a take is waiting.

use std::fs::File;
use std::io::{Read, Seek};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread;
use std::time::Duration;

use serde::Deserialize;

use crate::{Fault, Row, Scene};

/// Between two looks at who has finished.
const TICK: Duration = Duration::from_millis(20);

/// What a process of the crew prints.
#[derive(Deserialize)]
struct Report {
    scenes: Vec<Row>,
}

/// A scene that is being played.
struct Playing<'a> {
    scene: &'a Scene,
    /// Its place in the report.
    place: usize,
    child: Child,
    /// A file, since nobody reads a pipe meanwhile.
    report: File,
}

impl Drop for Playing<'_> {
    fn drop(&mut self) {
        // Of one that has finished, neither does anything.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Plays `scenes`, `jobs` of them at once, by running this program with `args` and the scene's name for each. Returns
/// their rows in order. `watch` hears again and again how many are done, and which are being played; `ended` of each row as soon
/// as there is one.
///
/// A scene whose process cannot be started, or ends without a report, is broken. This does not limit how long a scene
/// takes: the scene itself does, for each of its takes.
pub fn play(
    scenes: &[Scene],
    args: &[String],
    jobs: usize,
    watch: &mut dyn FnMut(usize, &[&str]),
    ended: &mut dyn FnMut(&Row),
) -> Vec<Row> {
    let mut waiting: Vec<(usize, &Scene)> = scenes.iter().enumerate().collect();
    let mut playing: Vec<Playing<'_>> = Vec::new();
    let mut rows: Vec<Option<Row>> = scenes.iter().map(|_| None).collect();
    while !(waiting.is_empty() && playing.is_empty()) {
        while playing.len() < jobs
            && let Some(next) = next(&waiting, &playing)
        {
            let (place, scene) = waiting.remove(next);
            match start(place, scene, args) {
                Ok(one) => playing.push(one),
                Err(fault) => rows[place] = Some(Row::broken(&scene.name, fault.to_string())),
            }
        }
        thread::sleep(TICK);
        let mut still = Vec::new();
        for mut one in playing {
            match one.child.try_wait() {
                Ok(None) => {
                    still.push(one);
                    continue;
                }
                Ok(Some(status)) => rows[one.place] = Some(finish(&mut one, status)),
                Err(error) => {
                    rows[one.place] = Some(Row::broken(&one.scene.name, error.to_string()));
                }
            }
            rows[one.place].as_ref().into_iter().for_each(&mut *ended);
        }
        playing = still;
        let names: Vec<&str> = playing.iter().map(|one| one.scene.name.as_str()).collect();
        watch(rows.iter().flatten().count(), &names);
    }
    rows.into_iter().flatten().collect()
}

/// Which scene to play beside these.
fn next(waiting: &[(usize, &Scene)], playing: &[Playing<'_>]) -> Option<usize> {
    let taken = playing.iter().any(|one| one.scene.named);
    waiting.iter().position(|(_, scene)| !(scene.named && taken))
}

fn start<'a>(place: usize, scene: &'a Scene, args: &[String]) -> Result<Playing<'a>, Fault> {
    let report = tempfile::tempfile()?;
    let child = Command::new(std::env::current_exe()?)
        .args(args)
        .args(["--json", "--jobs", "1", "--crew-of", &std::process::id().to_string()])
        .arg(&scene.name)
        .stdout(Stdio::from(report.try_clone()?))
        .spawn()?;
    Ok(Playing { scene, place, child, report })
}

fn finish(one: &mut Playing<'_>, status: ExitStatus) -> Row {
    let mut text = String::new();
    let read = one.report.rewind().and_then(|()| one.report.read_to_string(&mut text));
    let row = match read.map(|_| serde_json::from_str::<Report>(&text)) {
        Ok(Ok(report)) => report.scenes.into_iter().next(),
        Ok(Err(_)) | Err(_) => None,
    };
    row.unwrap_or_else(|| {
        Row::broken(&one.scene.name, format!("its process ended with {status} and no report"))
    })
}

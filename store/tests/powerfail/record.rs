//! A recorded run, and what its disk holds if the power fails at any moment of it.

use std::fs;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::time::Duration;

use pillarbox_core::{Random, Seed};

use crate::layer::{Event, Layer};
use crate::picture::Picture;
use crate::platter::{Chance, Ignored, Platter};
use crate::schedule::run;
use crate::subject::{Reference, Subject};
use crate::verify::{Wrong, verify};

/// Each so manieth state is opened on the real disk, by the clock; the others where syncing costs nothing.
const TIMED: usize = 16;
/// In each so manieth the power fails again.
const AGAIN: usize = 5;
/// States that failed and are kept, of one run at most.
const KEPT: usize = 5;
/// What a state that is kept consists of: what was left, and what it could have been.
const IMAGE: &str = "image";
const ALLOWED: &str = "allowed";

/// A moment of a run, and what is left then: nothing that was not synced (0), all of it (1), or something drawn.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct State {
    pub(crate) event: usize,
    pub(crate) chance: u64,
}

/// What became of all states.
#[derive(Default)]
pub(crate) struct Outcome {
    pub(crate) states: usize,
    /// Of them those where the power failed again while the store was opened.
    pub(crate) again: usize,
    /// Of them those opened on the real disk.
    pub(crate) timed: usize,
    pub(crate) lost: Vec<(State, String)>,
    pub(crate) torn: Vec<(State, String)>,
    /// How long one of these took to serve again, at most.
    pub(crate) longest: Duration,
}

impl Outcome {
    pub(crate) fn is_clean(&self) -> bool {
        self.lost.is_empty() && self.torn.is_empty()
    }

    /// Of the first ones that are wrong, what is.
    pub(crate) fn tell(&self) {
        for (state, what) in self.lost.iter().chain(&self.torn).take(5) {
            println!("{state:?}: {what}");
        }
    }
}

/// What a run left to be tried.
pub(crate) struct Recorded {
    root: PathBuf,
    pub(crate) events: Vec<Event>,
    reference: Reference,
}

impl Recorded {
    pub(crate) fn new(seed: u64, rounds: usize) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let subject = Subject::new(folder.path(), true);
        subject.open().unwrap();
        run(&subject, seed, rounds).unwrap();
        subject.close();
        Self::of(&subject)
    }

    pub(crate) fn of(subject: &Subject) -> Self {
        let (root, events) = (subject.layer.root().to_path_buf(), subject.layer.events());
        Self { root, events, reference: subject.reference() }
    }

    /// Before each sync: nothing is left of what it is for, or something.
    pub(crate) fn boundaries(&self) -> Vec<State> {
        let syncs = self.events.iter().enumerate().filter(|(_, event)| event.is_sync());
        let moments = syncs.map(|(at, _)| at).chain([self.events.len()]);
        moments.flat_map(|event| [0, event as u64 + 2].map(|chance| State { event, chance })).collect()
    }

    /// Tries these states.
    pub(crate) fn try_all(&self, ignored: Ignored, mut states: Vec<State>) -> Outcome {
        states.sort_unstable();
        let (mut platter, mut outcome) = (Platter::new(&self.root, ignored), Outcome::default());
        let (mut asked, mut answered, mut states) = (0, 0, states.into_iter().peekable());
        for at in 0..=self.events.len() {
            while let Some(state) = states.next_if(|state| state.event == at) {
                self.try_one(&platter, state, (answered, asked), &mut outcome);
            }
            let Some(event) = self.events.get(at) else { break };
            match event {
                Event::Asked(number) => asked = *number,
                Event::Answered(number) => answered = answered.max(*number),
                event => platter.apply(event),
            }
        }
        outcome
    }

    fn try_one(&self, platter: &Platter, state: State, (answered, asked): (usize, usize), outcome: &mut Outcome) {
        let image = tempfile::tempdir().unwrap();
        platter.image(image.path(), chance(state));
        outcome.states += 1;
        let allowed = self.reference.allowed(answered, asked);
        // Each of them on a disk that costs nothing, and some on a real one, by the clock.
        let verified = match outcome.states % TIMED {
            0 => verify(image.path(), None, &allowed, self.reference.lease).map(|(_, took)| {
                outcome.timed += 1;
                outcome.longest = outcome.longest.max(took);
            }),
            _ => self.verify_twice(image.path(), state, &allowed, outcome),
        };
        match verified {
            Ok(()) => return,
            Err(Wrong::Lost(what)) => outcome.lost.push((state, what)),
            Err(Wrong::Torn(what)) => outcome.torn.push((state, what)),
        }
        if platter.is_honest() && outcome.lost.len() + outcome.torn.len() <= KEPT {
            let kept = std::env::temp_dir().join(format!("powerfail-{}-{}", state.event, state.chance));
            platter.image(&kept.join(IMAGE), chance(state));
            let lines: Vec<String> = allowed.iter().map(|picture| picture.join("\n")).collect();
            fs::write(kept.join(ALLOWED), lines.join("\n\n")).unwrap();
            println!("kept in {}", kept.display());
        }
    }

    /// Opens what is left, and now and then lets the power fail again while that is under way.
    fn verify_twice(
        &self,
        image: &Path,
        state: State,
        allowed: &[Rc<Picture>],
        outcome: &mut Outcome,
    ) -> Result<(), Wrong> {
        let layer = Layer::new(image);
        let begun = layer.events().len();
        let lease = self.reference.lease;
        let (held, _) = verify(image, Some(&layer), allowed, lease)?;
        if !outcome.states.is_multiple_of(AGAIN) {
            return Ok(());
        }
        outcome.again += 1;
        let mut random = Random::new(&Seed::number(state.chance ^ state.event as u64));
        let events = layer.events();
        let mut platter = Platter::new(layer.root(), Ignored::Nothing);
        // Up to the first change that is made to go on.
        let opened = events.iter().position(|event| matches!(event, Event::Looked)).unwrap_or(events.len());
        let moment = begun + random.below(opened - begun + 1);
        events[..moment].iter().for_each(|event| platter.apply(event));
        let again = tempfile::tempdir().unwrap();
        platter.image(again.path(), Chance::drawn(random));
        verify(again.path(), Some(&Layer::new(again.path())), &[held], lease).map(|_| ())
    }
}

/// Looks once more at a state that was kept.
pub(crate) fn again(kept: &Path) -> Result<(), Wrong> {
    let text = fs::read_to_string(kept.join(ALLOWED)).unwrap();
    let picture = |lines: &str| Rc::new(lines.split('\n').map(str::to_owned).collect());
    let allowed: Vec<Rc<Picture>> = text.split("\n\n").map(picture).collect();
    let image = tempfile::tempdir().unwrap();
    for folder in ["", "segments", "bodies"] {
        fs::create_dir_all(image.path().join(folder)).unwrap();
        let Ok(files) = fs::read_dir(kept.join(IMAGE).join(folder)) else { continue };
        for file in files.map(|file| file.unwrap()).filter(|file| file.path().is_file()) {
            fs::copy(file.path(), image.path().join(folder).join(file.file_name())).unwrap();
        }
    }
    verify(image.path(), Some(&Layer::new(image.path())), &allowed, None).map(|_| ())
}

fn chance(state: State) -> Chance {
    let random = Random::new(&Seed::number(state.chance));
    match state.chance {
        all @ (0 | 1) => Chance::all(all == 1, random),
        _ => Chance::drawn(random),
    }
}

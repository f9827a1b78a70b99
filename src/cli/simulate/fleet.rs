//! Units played beside each other, and what became of each.

use std::pin::Pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use indicatif::ProgressBar;
use jiff::Timestamp;
use tokio::task::JoinSet;

use super::super::clock;
use super::seat::Seat;
use crate::simulate::{Again, Clock, Conduct, Identity, Made, Purpose, Story, Surroundings, Unit};

/// The most runs of one unit.
const RUNS: usize = 12;

/// One unit before it is switched on.
pub(super) struct Member {
    pub(super) conduct: Arc<Conduct>,
    pub(super) who: Identity,
    pub(super) around: Surroundings,
    pub(super) self_consistent: bool,
    /// Where it asks for its address and its pointer; none: it was given them.
    pub(super) seat: Option<Arc<Seat>>,
}

/// What became of one unit.
pub(super) struct Flown {
    pub(super) who: Identity,
    pub(super) family: String,
    pub(super) self_consistent: bool,
    /// The user of its first account.
    pub(super) account: Option<String>,
    pub(super) stories: Vec<Story>,
    /// It could not be played at all.
    pub(super) problem: Option<String>,
    pub(super) again: Option<Again>,
    /// From switching on until it rests.
    pub(super) took: Duration,
}

impl Flown {
    /// It has its account; where nobody says how that looks, its own files came.
    pub(super) fn came_up(&self) -> bool {
        if !self.self_consistent {
            return self.account.is_some();
        }
        let mut steps = self.stories.iter().flat_map(|story| &story.steps);
        steps
            .rfind(|step| step.purpose == Purpose::Configuration)
            .is_some_and(|step| step.made == Made::Taken)
    }
}

/// What became of all.
pub(super) struct Fleet {
    pub(super) units: Vec<Flown>,
    pub(super) took: Duration,
}

/// The machine's clock, and how long a unit waits in all.
pub(super) struct Patience {
    until: Instant,
    whole: Duration,
}

impl Patience {
    pub(super) fn seconds(seconds: u32) -> Self {
        let whole = Duration::from_secs(seconds.into());
        Self {
            until: Instant::now() + whole,
            whole,
        }
    }
}

impl Clock for Patience {
    fn now(&self) -> Timestamp {
        clock::now()
    }

    fn pass(&self, time: Duration) -> Pin<Box<dyn Future<Output = bool> + Send + '_>> {
        Box::pin(async move {
            let left = self.until.saturating_duration_since(Instant::now());
            if time > left {
                return false;
            }
            tokio::time::sleep(time).await;
            true
        })
    }
}

/// Plays them, so many at once; each waits as long in all as `patience` was made for.
pub(super) async fn play(
    members: Vec<Member>,
    parallel: u32,
    patience: Patience,
    bar: &ProgressBar,
) -> Fleet {
    let begun = Instant::now();
    let mut waiting = members.into_iter().enumerate();
    let mut running = JoinSet::new();
    let mut units = Vec::new();
    loop {
        while running.len() < usize::try_from(parallel).unwrap_or(usize::MAX)
            && let Some((place, mut member)) = waiting.next()
        {
            member.around.clock = Arc::new(Patience {
                until: Instant::now() + patience.whole,
                whole: patience.whole,
            });
            running.spawn(async move { (place, one(member).await) });
        }
        match running.join_next().await {
            Some(Ok(done)) => units.push(done),
            // A unit that panicked is a fault of ours; it is missing in the list and counts.
            Some(Err(_)) => {}
            None => break,
        }
        bar.inc(1);
    }
    units.sort_by_key(|(place, _)| *place);
    Fleet {
        units: units.into_iter().map(|(_, unit)| unit).collect(),
        took: begun.elapsed(),
    }
}

/// One unit from the box to where it rests.
async fn one(member: Member) -> Flown {
    let mut flown = Flown {
        who: member.who.clone(),
        family: member.conduct.family.clone(),
        self_consistent: member.self_consistent,
        account: None,
        stories: Vec::new(),
        problem: None,
        again: None,
        took: Duration::ZERO,
    };
    let begun = Instant::now();
    let mut unit = match Unit::factory(member.conduct, member.who, member.around) {
        Ok(unit) => unit,
        Err(problem) => {
            flown.problem = Some(problem.to_string());
            return flown;
        }
    };
    let seat = member.seat;
    let sit = async |unit: &mut Unit, boot: usize| match &seat {
        Some(seat) => seat.sit(unit, boot).await,
        None => Ok(()),
    };
    if let Err(why) = sit(&mut unit, 0).await {
        flown.problem = Some(why);
        return flown;
    }
    flown.stories.push(unit.boot().await);
    while flown.stories.len() < RUNS {
        let restarts = matches!(unit.wants_again(), Some(Again::Now(_)));
        // With its account it has what it came for; without it, it may wait for it.
        if !restarts && unit.account().is_some() {
            break;
        }
        if restarts && let Err(why) = sit(&mut unit, flown.stories.len()).await {
            flown.problem = Some(why);
            break;
        }
        match unit.wait().await {
            Some(story) => flown.stories.push(story),
            None => break,
        }
    }
    flown.account = unit.account().map(|account| account.user);
    flown.again = unit.wants_again().cloned();
    flown.took = begun.elapsed();
    flown
}

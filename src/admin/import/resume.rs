//! An import that the end of the server broke off goes on at the next start: its file lies sealed
//! beside the job until it is done.

use super::report::{Kept, Tail};
use super::{Admin, ImportAsk, KIND, TURNS};
use crate::admin::{Actor, Code, Problem};
use crate::model::secret::Secret;
use crate::store::{Batch, Job, JobState, Write};

/// The largest file that is kept; a larger one has to be sent again.
const MOST: usize = 16 << 20;

/// A file as a text that can be sealed, whatever its encoding; none where it is not kept.
pub(super) fn sealable(file: &[u8], ask: &ImportAsk) -> Option<Secret> {
    let kept = !ask.dry_run && file.len() <= MOST;
    kept.then(|| Secret::new(file.iter().copied().map(char::from).collect()))
}

/// The file again.
fn file_of(text: &Secret) -> Option<Vec<u8>> {
    let octets = text.expose().chars();
    octets.map(|octet| u8::try_from(octet).ok()).collect()
}

impl Admin {
    /// Goes on with every import that was running when the server ended.
    pub async fn resume_imports(&self) -> Result<(), Problem> {
        let jobs = self.hub().store.jobs().await?;
        let broken = |job: &&Job| job.kind == KIND && job.state == JobState::Running;
        let ids: Vec<String> = jobs
            .iter()
            .filter(broken)
            .map(|job| job.id.clone())
            .collect();
        for id in ids {
            if let Err(problem) = self.resume(&id).await {
                let why = &problem.detail;
                tracing::error!(
                    import = id,
                    why,
                    "an import that was broken off does not go on"
                );
            }
        }
        Ok(())
    }

    async fn resume(&self, id: &str) -> Result<(), Problem> {
        let Some(mut job) = self.hub().store.job(id).await? else {
            return Ok(());
        };
        let kept = Kept::decode(&job.body.take().unwrap_or_default())?;
        // Too large to be kept: whoever sent it sends it again.
        let Some((ask, text)) = kept.upload(&self.hub().keys, id)? else {
            return Ok(());
        };
        let file = file_of(&text)
            .ok_or_else(|| Problem::new(Code::Internal, "the kept file is damaged"))?;
        let actor = Actor::parse(&job.actor);
        tracing::info!(import = id, "an import that was broken off goes on");
        let _turn = TURNS.acquire().await;
        let done = self.import_now(&actor, file, &ask, Some(job.clone())).await;
        let Err(problem) = done else { return Ok(()) };
        // It would fail at every start.
        job.state = JobState::Failed;
        job.updated = self.hub().now();
        let report = Kept::new(&kept.report);
        job.body = Some(report.encode(&self.hub().keys, id, Tail::Nothing)?);
        let write = vec![Write::PutJob(job)];
        self.hub().store.commit(Batch::now(write)).await?;
        Err(problem)
    }
}

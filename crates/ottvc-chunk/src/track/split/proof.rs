//! The proof that a map rebuilds a file, as it is written.

use super::Refusal;
use super::lane::Buffer;
use crate::track::map::{Checkpoint, Checkpoints, Player, Step};

/// How far it has been proved that the file comes back.
#[derive(Debug, Default)]
pub(super) struct Proof {
    at: Checkpoint,
    checkpoints: Checkpoints,
}

impl Proof {
    /// Where it has got to.
    pub(super) fn at(&self) -> &Checkpoint {
        &self.at
    }

    pub(super) fn into_checkpoints(self) -> Checkpoints {
        self.checkpoints
    }

    /// Runs the part of `map` that is new, and compares what it makes with `raw`, the bytes of the file
    /// from where it had got to. Leaves the checkpoints that it passes.
    pub(super) fn go_on(
        &mut self,
        raw: &[u8],
        map: &Buffer,
        glue: &Buffer,
        lanes: &[Buffer],
        len: u64,
    ) -> Result<(), Refusal> {
        let start = self.at.out;
        let from = std::mem::take(&mut self.at);
        let mut player = Player::new(map.from(from.op), from, lanes.len(), len);
        let differs = |at: u64| Refusal::Differs { at };
        let mut rest = raw;
        let mut at = start;
        while let Some(total) = player.peek().map_err(|_| differs(at))? {
            while self.checkpoints.wanted() < at.saturating_add(total) {
                self.checkpoints.push(player.checkpoint().clone());
            }
            let played = player.play().map_err(|_| differs(at))?.ok_or(differs(at))?;
            for step in played.steps() {
                let wanted = usize::try_from(step.len()).ok();
                let (now, later) =
                    wanted.and_then(|len| rest.split_at_checked(len)).ok_or(differs(at))?;
                let same = match &step {
                    Step::Glue { start, .. } => glue.from(*start).starts_with(now),
                    Step::Made(made) => made.bytes() == now,
                    Step::Padding { .. } => now.iter().all(|byte| *byte == 0xff),
                    Step::Stream { stream, start, .. } => {
                        let lane = lanes.get(usize::from(*stream));
                        lane.is_some_and(|lane| lane.from(*start).starts_with(now))
                    }
                };
                if !same {
                    return Err(differs(at));
                }
                rest = later;
                at += step.len();
            }
        }
        self.at = player.into_checkpoint();
        Ok(())
    }
}

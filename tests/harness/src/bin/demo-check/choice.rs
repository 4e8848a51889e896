//! What a seed chooses.

use anyhow::{Context, Result};
use longshore_emulators::{
    model::{Catalogue, Defect},
    slack::{ChannelKind, ChannelLife, User, UserKind, WorkspaceSetup},
};
use rand::{Rng, SeedableRng, rngs::StdRng, seq::IndexedRandom};

/// One story.
pub struct Choice {
    pub asker: User,
    pub channel: String,
    pub channel_name: String,
    pub defect: Defect,
    pub wording: String,
    pub follow_up: String,
}

/// From `SEED`, or by chance.
pub fn seed() -> Result<u64> {
    match std::env::var("SEED").ok().filter(|seed| !seed.trim().is_empty()) {
        Some(seed) => seed.trim().parse().with_context(|| format!("SEED={seed} is no whole number")),
        None => Ok(rand::rng().random_range(0..1_000_000)),
    }
}

impl Choice {
    pub fn of(seed: u64) -> Result<Self> {
        let mut rng = StdRng::seed_from_u64(seed);
        let catalogue = Catalogue::bundled()?;
        let workspace = WorkspaceSetup::demo();
        let repositories: Vec<&String> = catalogue.repositories.keys().collect();
        // The sample first, so that one with few defects comes as often as the others.
        let repository = repositories.choose(&mut rng).context("the catalogue has no repository")?;
        let defects: Vec<&Defect> = catalogue.defects.iter().filter(|defect| defect.repository == **repository).collect();
        let defect = (*defects.choose(&mut rng).with_context(|| format!("the catalogue has no defect of {repository}"))?).clone();
        let members: Vec<&User> = workspace.users.iter().filter(|user| user.kind == UserKind::Member).collect();
        let asker = (*members.choose(&mut rng).context("the workspace has no people")?).clone();
        let bot = &workspace.app.bot_user_id;
        let channels: Vec<_> = workspace
            .channels
            .iter()
            .filter(|channel| channel.kind == ChannelKind::Public && channel.life == ChannelLife::Open)
            .filter(|channel| channel.members.contains(bot) && channel.members.contains(&asker.id))
            .collect();
        let channel = channels.choose(&mut rng).context("the asker and the bot share no channel")?;
        Ok(Self {
            channel: channel.id.clone(),
            channel_name: channel.name.clone(),
            asker,
            wording: defect.wordings.choose(&mut rng).context("the defect has no wording")?.clone(),
            follow_up: defect.follow_up.wordings.choose(&mut rng).context("the follow-up has no wording")?.clone(),
            defect,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_repeats_its_choice_and_seeds_differ() {
        let told = |seed| {
            let choice = Choice::of(seed).unwrap();
            (choice.defect.id, choice.wording, choice.asker.id, choice.channel, choice.follow_up)
        };
        assert_eq!(told(7), told(7));
        let all: std::collections::BTreeSet<_> = (0..50).map(told).collect();
        assert!(all.len() > 25, "{}", all.len());
    }
}

//! Who gets anything at all. Asked before everything else.

use longshore_session::{ChannelId, SlackUserId, TeamId};
use longshore_slack::NotAllowed;

use crate::config::AccessSection;

/// Where somebody speaks from.
#[derive(Debug, Clone, Copy)]
pub struct Place<'a> {
    pub team: &'a TeamId,
    pub channel: &'a ChannelId,
    /// Direct messages are no channels that anybody could list: the list of people is what counts there.
    pub direct: Direct,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Direct {
    Yes,
    No,
}

pub fn check(access: &AccessSection, place: Place<'_>, user: &SlackUserId) -> Result<(), NotAllowed> {
    if !lists(&access.workspaces, place.team.as_str()) {
        return Err(NotAllowed::Workspace);
    }
    if place.direct == Direct::No && !lists(&access.channels, place.channel.as_str()) {
        return Err(NotAllowed::Channel);
    }
    if !lists(&access.users, user.as_str()) {
        return Err(NotAllowed::User);
    }
    Ok(())
}

fn lists(list: &[String], id: &str) -> bool {
    list.iter().any(|entry| entry == "*" || entry == id)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn checked(workspaces: &str, channels: &str, users: &str, direct: Direct) -> Result<(), NotAllowed> {
        let access = AccessSection { workspaces: vec![workspaces.into()], channels: vec![channels.into()], users: vec![users.into()] };
        let (team, channel) = (TeamId::parse("T1").unwrap(), ChannelId::parse("C1").unwrap());
        check(&access, Place { team: &team, channel: &channel, direct }, &SlackUserId::parse("U1").unwrap())
    }

    #[test]
    fn every_list_must_let_one_in() {
        assert_eq!(checked("T1", "C1", "U1", Direct::No), Ok(()));
        assert_eq!(checked("*", "*", "*", Direct::No), Ok(()));
        assert_eq!(checked("T2", "*", "*", Direct::No), Err(NotAllowed::Workspace));
        assert_eq!(checked("*", "C2", "*", Direct::No), Err(NotAllowed::Channel));
        assert_eq!(checked("*", "*", "U2", Direct::No), Err(NotAllowed::User));
        assert_eq!(checked("*", "C2", "U1", Direct::Yes), Ok(()));
        assert_eq!(checked("*", "C2", "U2", Direct::Yes), Err(NotAllowed::User));
    }
}

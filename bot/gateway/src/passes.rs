//! The passes that are valid now, in memory.

use std::{
    collections::HashMap,
    net::IpAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use longshore_session::SandboxId;
use subtle::ConstantTimeEq;

use crate::{Doorkeeper, Pass, SandboxToken};

/// Issues, looks up and revokes passes. Cheap to clone; all clones are one registry.
///
/// It holds the tokens' SHA-256 only. After a restart of the service, enter the living sandboxes' tokens again (their environment files hold them).
#[derive(Clone, Default)]
pub struct Passes(Arc<Mutex<HashMap<SandboxId, Entry>>>);

struct Entry {
    digest: [u8; 32],
    address: Option<IpAddr>,
    pass: Arc<Pass>,
}

impl Passes {
    pub fn new() -> Self {
        Self::default()
    }

    /// Makes a token for `pass` and enters it; an earlier token of the same sandbox ends.
    pub fn issue(&self, pass: Pass) -> SandboxToken {
        let token = SandboxToken::random();
        self.enter(&token, pass);
        token
    }

    /// Enters a token that exists already; an earlier token of the same sandbox ends.
    ///
    /// Until [`Passes::bind`] names the sandbox's address, the first address that shows the token is taken for it.
    pub fn enter(&self, token: &SandboxToken, pass: Pass) {
        self.lock().insert(pass.sandbox.clone(), Entry { digest: token.digest(), address: None, pass: Arc::new(pass) });
    }

    /// Binds the sandbox's token to its address. A container that is started again may get another: bind again. False for an unknown sandbox.
    pub fn bind(&self, sandbox: &SandboxId, address: IpAddr) -> bool {
        self.lock().get_mut(sandbox).map(|entry| entry.address = Some(address.to_canonical())).is_some()
    }

    /// Changes what the sandbox may do, from its next request on (a warm sandbox is claimed, a session gets its branch). False for an unknown sandbox.
    pub fn change(&self, sandbox: &SandboxId, change: impl FnOnce(&mut Pass)) -> bool {
        self.lock()
            .get_mut(sandbox)
            .map(|entry| {
                let pass = Arc::make_mut(&mut entry.pass);
                change(pass);
                // Whatever `change` did, the entry stays this sandbox's.
                pass.sandbox = sandbox.clone();
            })
            .is_some()
    }

    /// What the sandbox may do now.
    pub fn look_up(&self, sandbox: &SandboxId) -> Option<Arc<Pass>> {
        self.lock().get(sandbox).map(|entry| entry.pass.clone())
    }

    /// Ends the sandbox's token. Requests that are under way go on; the sandbox's end ends them.
    pub fn revoke(&self, sandbox: &SandboxId) -> Option<Arc<Pass>> {
        self.lock().remove(sandbox).map(|entry| entry.pass)
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<SandboxId, Entry>> {
        // Nothing under this lock leaves a half-made entry behind.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Doorkeeper for Passes {
    fn admit(&self, token: &SandboxToken, peer: IpAddr) -> Option<Arc<Pass>> {
        let digest = token.digest();
        let mut entries = self.lock();
        // Every entry is compared, in constant time each: how long this takes says nothing about any token.
        let mut found = None;
        for entry in entries.values_mut() {
            if bool::from(entry.digest.ct_eq(&digest)) {
                found = Some(entry);
            }
        }
        let entry = found?;
        let peer = peer.to_canonical();
        match entry.address {
            Some(address) if address != peer => {
                tracing::warn!(sandbox = %entry.pass.sandbox, %peer, bound_to = %address, "a sandbox's token was shown from another address");
                None
            }
            Some(_) => Some(entry.pass.clone()),
            None => {
                entry.address = Some(peer);
                Some(entry.pass.clone())
            }
        }
    }
}

impl std::fmt::Debug for Passes {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Passes").field(&self.lock().len()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pass(id: &str) -> Pass {
        Pass::nothing(SandboxId::parse(id).unwrap())
    }

    fn address(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn a_token_opens_its_own_pass_from_its_own_address() {
        let passes = Passes::new();
        let (one, two) = (passes.issue(pass("b-one")), passes.issue(pass("b-two")));
        passes.bind(&SandboxId::parse("b-one").unwrap(), address("10.0.0.2"));
        assert_eq!(passes.admit(&one, address("10.0.0.2")).unwrap().sandbox.as_str(), "b-one");
        assert_eq!(passes.admit(&one, address("::ffff:10.0.0.2")).unwrap().sandbox.as_str(), "b-one");
        assert!(passes.admit(&one, address("10.0.0.3")).is_none());
        assert_eq!(passes.admit(&two, address("10.0.0.3")).unwrap().sandbox.as_str(), "b-two");
        assert!(passes.admit(&two, address("10.0.0.2")).is_none(), "the first address that shows a token keeps it");
        assert!(passes.admit(&SandboxToken::from_text(""), address("10.0.0.2")).is_none());
    }

    #[test]
    fn a_revoked_or_replaced_token_opens_nothing() {
        let passes = Passes::new();
        let old = passes.issue(pass("b-one"));
        let new = passes.issue(pass("b-one"));
        assert!(passes.admit(&old, address("10.0.0.2")).is_none());
        assert!(passes.admit(&new, address("10.0.0.2")).is_some());
        passes.revoke(&SandboxId::parse("b-one").unwrap());
        assert!(passes.admit(&new, address("10.0.0.2")).is_none());
    }

    #[test]
    fn a_change_holds_from_the_next_request_on() {
        let passes = Passes::new();
        let token = passes.issue(pass("b-one"));
        let sandbox = SandboxId::parse("b-one").unwrap();
        assert!(passes.change(&sandbox, |pass| pass.llm = crate::LlmRight::AnyModel));
        assert_eq!(passes.admit(&token, address("10.0.0.2")).unwrap().llm, crate::LlmRight::AnyModel);
        assert!(!passes.change(&SandboxId::parse("b-two").unwrap(), |_| ()));
    }

    #[test]
    fn no_token_is_printed() {
        let token = SandboxToken::random();
        assert_eq!(token.expose().len(), 4 + 64);
        assert!(!format!("{token:?}").contains(token.expose()));
        let passes = Passes::new();
        let token = passes.issue(pass("b-one"));
        assert!(!format!("{passes:?}").contains(token.expose()));
    }
}

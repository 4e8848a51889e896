//! What holds whatever a sandbox sends to its door. Each target takes any bytes and panics where something does not hold; the tests here and
//! `fuzz/` drive them. See `docs/fuzzing.md`.
#![allow(clippy::unwrap_used, reason = "what fails here fails a test")]

pub use crate::{
    git::fuzz::{PUSHES, push},
    hooks::fuzz::{QUESTIONS, question},
    llm::fuzz::{ANSWERS, answer},
    proxy::fuzz::{HOSTS, host},
};

#[cfg(test)]
mod tests {
    use longshore_hostile::throw;

    #[test]
    fn push() {
        throw(super::PUSHES, super::push);
    }

    #[test]
    fn question() {
        throw(super::QUESTIONS, super::question);
    }

    #[test]
    fn answer() {
        throw(super::ANSWERS, super::answer);
    }

    #[test]
    fn host() {
        throw(super::HOSTS, super::host);
    }
}

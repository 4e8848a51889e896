//! One death: where, at which time, and in which story.

use std::fmt;

use crate::scenarios::Scenario;

/// One death of the service.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Case {
    pub place: Place,
    pub scenario: Scenario,
}

/// Where the service ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// At a point of its own, at the given time that it comes there.
    Point { name: &'static str, time: u32 },
    /// By a signal at a moment that can be seen from outside.
    Outside { name: &'static str },
}

impl Case {
    /// What the service is told.
    pub fn order(&self) -> String {
        match self.place {
            Place::Point { name, time } => format!("{name}:{time}"),
            Place::Outside { name } => name.to_owned(),
        }
    }

    #[cfg(test)]
    pub fn name(&self) -> &'static str {
        match self.place {
            Place::Point { name, .. } | Place::Outside { name } => name,
        }
    }
}

impl fmt::Display for Case {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.place {
            Place::Point { name, time: 1 } | Place::Outside { name } => write!(f, "{name} ({})", self.scenario),
            Place::Point { name, time } => write!(f, "{name}:{time} ({})", self.scenario),
        }
    }
}

//! Places where the process can be made to die, for the suite that kills it there (`tests/faults`). Without the feature `faults` nothing of it is compiled.
//!
//! With it, the variable `LONGSHORE_FAULTS` names a folder. A file `armed` in there says where to die: a point's name, and after a colon at which time that it
//! is reached from then on (the first where nothing is said). There the process writes the name to `died`, takes `armed` away and kills itself with SIGKILL.

mod points;

pub use points::{FAULT_POINTS, FaultPoint};

#[cfg(feature = "faults")]
mod dying;
// Tests see to it that it knows every event.
#[cfg(any(test, feature = "faults"))]
mod log;

#[cfg(feature = "faults")]
pub use dying::{is_without, reached, reached_in_log};

/// Whether a point of this name stands in [`FAULT_POINTS`].
pub const fn is_fault_point(name: &str) -> bool {
    let mut at = 0;
    while at < FAULT_POINTS.len() {
        if same(FAULT_POINTS[at].name, name) {
            return true;
        }
        at += 1;
    }
    false
}

const fn same(one: &str, other: &str) -> bool {
    let (one, other) = (one.as_bytes(), other.as_bytes());
    if one.len() != other.len() {
        return false;
    }
    let mut at = 0;
    while at < one.len() {
        if one[at] != other[at] {
            return false;
        }
        at += 1;
    }
    true
}

/// A place where the process can be made to die. A name that is not in [`FAULT_POINTS`] does not compile. Where the name holds a kind that is known only when
/// it runs, it is given in three parts; one that is not listed is noted, and the suite fails by it.
#[cfg(feature = "faults")]
#[macro_export]
macro_rules! fault_point {
    ($name:literal) => {{
        const { assert!($crate::is_fault_point($name), "this point does not stand in FAULT_POINTS") };
        $crate::fault::reached($name);
    }};
    ($area:literal, $kind:expr, $moment:literal) => {
        $crate::fault::reached(&format!(concat!($area, ".{}.", $moment), $kind))
    };
}

/// A place where the process can be made to die. A name that is not in [`FAULT_POINTS`] does not compile. Where the name holds a kind that is known only when
/// it runs, it is given in three parts.
#[cfg(not(feature = "faults"))]
#[macro_export]
macro_rules! fault_point {
    ($name:literal) => {{
        const { assert!($crate::is_fault_point($name), "this point does not stand in FAULT_POINTS") };
    }};
    ($area:literal, $kind:expr, $moment:literal) => {{}};
}

/// A commit to a session's log: a point for each kind of event in it.
#[cfg(feature = "faults")]
#[macro_export]
macro_rules! fault_point_in_log {
    ($events:expr, $moment:literal) => {
        $crate::fault::reached_in_log($events, $moment)
    };
}

/// A commit to a session's log: a point for each kind of event in it.
#[cfg(not(feature = "faults"))]
#[macro_export]
macro_rules! fault_point_in_log {
    ($events:expr, $moment:literal) => {{}};
}

/// Whether a protection is switched off, so that the suite can be seen to miss it. Never in a service that was built without the feature `faults`.
#[cfg(feature = "faults")]
#[macro_export]
macro_rules! fault_without {
    ($protection:literal) => {
        $crate::fault::is_without($protection)
    };
}

/// Whether a protection is switched off, so that the suite can be seen to miss it. Never in a service that was built without the feature `faults`.
#[cfg(not(feature = "faults"))]
#[macro_export]
macro_rules! fault_without {
    ($protection:literal) => {
        false
    };
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn each_point_is_listed_once_and_says_where_it_is() {
        let names: BTreeSet<&str> = FAULT_POINTS.iter().map(|point| point.name).collect();
        assert_eq!(names.len(), FAULT_POINTS.len());
        for point in FAULT_POINTS {
            assert!(is_fault_point(point.name) && point.place.len() > 10, "{}", point.name);
            let is_plain = |c: char| c.is_ascii_lowercase() || "._".contains(c);
            assert!(point.name.chars().all(is_plain) && point.name.split('.').count() == 3, "{}", point.name);
        }
        assert!(!is_fault_point("inbox.stored") && !is_fault_point("inbox.stored.afterwards"));
    }
}

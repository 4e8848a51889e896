//! Nothing of the places to die is in the service that people run.

use std::{collections::BTreeSet, process::Command};

use longshore_harness::service_binary;
use longshore_session::FAULT_POINTS;

/// No name of a point, and nothing by which it could be told to die.
#[test]
fn the_service_knows_of_no_point() {
    // What is there in any case shows that the others would be found.
    let there = "longshore is serving";
    let texts = FAULT_POINTS.iter().map(|point| point.name).chain([there, "LONGSHORE_FAULTS", "inbox-deduplication"]);
    let patterns: Vec<String> = texts.flat_map(|text| ["-e".to_owned(), text.to_owned()]).collect();
    let found = Command::new("grep").args(["-a", "-o", "-F"]).args(patterns).arg(service_binary().unwrap()).output().unwrap();
    let found: BTreeSet<String> = String::from_utf8_lossy(&found.stdout).lines().map(str::to_owned).collect();
    assert_eq!(found, BTreeSet::from([there.to_owned()]));
}

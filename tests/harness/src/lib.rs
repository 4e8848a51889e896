//! longshore-harness

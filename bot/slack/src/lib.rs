//! longshore-slack

//! longshore-scheduler

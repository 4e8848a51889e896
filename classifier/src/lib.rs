//! longshore-classifier

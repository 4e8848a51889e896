//! longshore-sandbox

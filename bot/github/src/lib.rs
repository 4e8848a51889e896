//! longshore-github

//! longshore-stories

//! longshore-api

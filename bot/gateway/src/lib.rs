//! longshore-gateway

//! Sandboxes and images on the real Docker engine. Each test has a namespace of its own and takes it away at its end, also when it fails.

mod fixture;
mod images;
mod isolation;
mod sandboxes;

//! What images take together.

use std::{
    collections::{BTreeMap, HashMap, hash_map::DefaultHasher},
    hash::{Hash, Hasher},
};

use longshore_sandbox::{EngineImage, RegistryImage};

/// Sizes of stacks of layers that are known: of whole images, and of what they were made of.
#[derive(Debug, Default)]
pub struct Stacks(HashMap<u64, u64>);

impl Stacks {
    /// `base` is beneath most of them, and is itself no image of ours.
    pub fn of(images: &[EngineImage], base: Option<&(Vec<String>, u64)>) -> Self {
        let known = images.iter().map(|image| (&image.layers, image.bytes)).chain(base.map(|(layers, bytes)| (layers, *bytes)));
        Self(known.filter_map(|(layers, bytes)| Some((heights(layers).last()?, bytes))).collect())
    }

    /// Bytes that these images take in the engine: a layer that several have counts once. Where the stack that two have in common is not known by
    /// itself, it counts for each: the figure is never too small.
    pub fn together<'a>(&self, images: impl IntoIterator<Item = &'a EngineImage>) -> u64 {
        let mut parts = BTreeMap::new();
        for image in images {
            let mut below = 0;
            for stack in heights(&image.layers) {
                if let Some(bytes) = self.0.get(&stack) {
                    parts.insert(stack, bytes.saturating_sub(below));
                    below = *bytes;
                }
            }
        }
        parts.values().sum()
    }
}

/// Names every stack of an image, from its lowest layer alone to the whole.
fn heights(layers: &[String]) -> impl Iterator<Item = u64> {
    let mut hasher = DefaultHasher::new();
    layers.iter().map(move |layer| {
        layer.hash(&mut hasher);
        hasher.finish()
    })
}

/// Bytes that these images take in the registry.
pub fn stored<'a>(images: impl IntoIterator<Item = &'a RegistryImage>) -> u64 {
    let blobs: BTreeMap<&str, u64> =
        images.into_iter().flat_map(|image| &image.blobs).map(|(digest, bytes)| (digest.as_str(), *bytes)).collect();
    blobs.values().sum()
}

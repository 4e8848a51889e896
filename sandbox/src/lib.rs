#![doc = include_str!("../README.md")]

mod carrier;
mod docker;
mod doctor;
mod engine;
mod error;
mod exec;
mod exit;
mod image;
mod names;
mod registry;

pub use carrier::CarrierPaths;
pub use docker::{DockerConfig, DockerEngine};
pub use doctor::{Finding, Verdict, examine};
pub use engine::{
    Capabilities, Engine, GATEWAY_HOST, Process, Removed, Sandbox, SandboxInfo, SandboxState, Snapshot, SnapshotImage, StartSandbox,
};
pub use error::EngineError;
pub use exec::{Command, Exec, ExecEnd, ExecOutput, ExecUser};
pub use exit::Exit;
pub use image::{
    Bound, Bounds, BuildError, BuildOutcome, BuildStep, BuiltImage, CollectionError, EngineImage, HeldBy, ImageBuild, ImageBuilder,
    ImageConfig, Progress, Rebuild, RegistryImage, Removal, StepFailure, StepTiming, Stocked, Trial, TrialSandbox,
};
pub use names::{CommitSha, ImageRef, InvalidName, Namespace, TagMark};
pub use registry::{RegistryConfig, RegistryCredentials, Transport};

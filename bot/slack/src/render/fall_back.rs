//! What a person reads where a turn did not work on the newest image.

use longshore_session::FallBack;

use super::words::line;

/// For a final reply's note.
pub fn fall_back_words(from: &FallBack) -> String {
    match from {
        FallBack::RolledBack { commit, detail } => {
            let of = commit.as_deref().map_or_else(String::new, |commit| format!(" of {}", commit.chars().take(10).collect::<String>()));
            let why = line(detail, 160);
            format!(
                "The newest image{of} did not start a session ({why}), so I went back to the one before it; `/agent repos` shows which. The checkout is as new as ever."
            )
        }
        FallBack::RegistryAway => {
            "The newest image is not on this machine any more and the image registry does not answer, so this ran on an earlier one. The checkout is as new as ever."
                .to_owned()
        }
        FallBack::Lost => {
            "The newest image was lost, so this ran on an earlier one, and a new one is being built. The checkout is as new as ever.".to_owned()
        }
    }
}

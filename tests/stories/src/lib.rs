//! The stories that people live with Longshore, told against the real service, Docker, git and agent; and the rules that the workspace keeps.

//! OpenCode (1.18.33): everything it needs is in its command and its variables.

use serde_json::json;

use crate::{
    kind::{LaunchSettings, ModelSight},
    wire::McpServer,
};

/// The provider's name within OpenCode.
const PROVIDER: &str = "longshore";

/// Asks the gateway before and after each tool call.
const GATE: &str = include_str!("opencode/gate.js");
/// Where [`GATE`] lies, below the home folder: not in OpenCode's own folder, whose plug-ins it would load again by itself.
const GATE_FILE: &str = ".config/longshore/gate.js";

/// Puts the instructions where OpenCode reads a user's own, and beside them the files that make it skip its package installation
/// (which an offline start would otherwise wait for); puts the gate where the configuration names it, then becomes the agent.
///
/// Where its variable [`FORGET`] is set, it begins without what an earlier one kept: that may be what keeps it from coming up.
const LAUNCH: &str = r#"config="$HOME/.config/opencode"
[ -z "${LONGSHORE_FORGET-}" ] || rm -rf "$HOME/.local/share/opencode"
gate="$HOME/.config/longshore"
mkdir -p "$config/node_modules" "$gate" || exit 73
printf '%s' "${LONGSHORE_INSTRUCTIONS-}" >"$config/AGENTS.md"
printf '%s' '{"packages":{"":{"dependencies":{"@opencode-ai/plugin":"*"}}}}' >"$config/package-lock.json"
printf '%s' "${LONGSHORE_GATE-}" >"$gate/gate.js"
unset config gate LONGSHORE_INSTRUCTIONS LONGSHORE_GATE LONGSHORE_FORGET
exec opencode acp --hostname 127.0.0.1"#;

/// The variable that makes an agent forget its earlier conversations, with any value.
pub const FORGET: &str = "LONGSHORE_FORGET";

/// Program and arguments.
pub fn command(settings: &LaunchSettings) -> Vec<String> {
    // Its HTTP side listens in the sandbox only, but is open to everything there unless it has a password.
    let password = format!("export OPENCODE_SERVER_PASSWORD=\"${}\"\n", settings.token_variable);
    vec!["sh".to_owned(), "-c".to_owned(), format!("{password}{LAUNCH}")]
}

/// A model's name within OpenCode.
pub fn model_id(model: &str) -> String {
    format!("{PROVIDER}/{model}")
}

/// Variables, none of them secret.
pub fn environment(settings: &LaunchSettings) -> Vec<(String, String)> {
    let input: &[&str] = match settings.sight {
        ModelSight::Images => &["text", "image"],
        ModelSight::TextOnly => &["text"],
    };
    let model = json!({
        "limit": {"context": settings.context_tokens, "output": settings.output_tokens},
        // Without this, OpenCode replaces a picture by a remark that the model cannot see it.
        "attachment": settings.sight == ModelSight::Images,
        "modalities": {"input": input, "output": ["text"]},
    });
    let mut models = serde_json::Map::new();
    for name in settings.other_models.iter().chain([&settings.model, &settings.small_model]) {
        models.insert(name.clone(), model.clone());
    }
    let project = |file: &str| format!("{}/{file}", settings.workspace);
    let config = json!({
        "enabled_providers": [PROVIDER],
        "model": model_id(&settings.model),
        "small_model": model_id(&settings.small_model),
        "provider": {PROVIDER: {
            "npm": "@ai-sdk/openai-compatible",
            "name": "Longshore",
            "options": {
                "baseURL": format!("{}/llm/v1", settings.gateway_url),
                "apiKey": format!("{{env:{}}}", settings.token_variable),
                // So that streams end with what they cost.
                "includeUsage": true,
            },
            "models": models,
        }},
        // A subagent's question would hang the turn, and a person's answer is never there: what may be done is decided outside.
        "permission": {"*": "allow", "question": "deny"},
        "instructions": [project("AGENTS.md"), project("CLAUDE.md")],
        "plugin": [format!("file://{}/{GATE_FILE}", settings.home)],
        "autoupdate": false,
        "share": "disabled",
        // The sandbox has snapshots of its own.
        "snapshot": false,
        "lsp": false,
        "formatter": false,
    });
    let mut variables = vec![
        ("HOME".to_owned(), settings.home.clone()),
        ("OPENCODE_CONFIG_CONTENT".to_owned(), config.to_string()),
        ("LONGSHORE_INSTRUCTIONS".to_owned(), settings.instructions.clone()),
        ("LONGSHORE_GATE".to_owned(), GATE.to_owned()),
        ("LONGSHORE_TOOL_HOOK".to_owned(), format!("{}/hooks/tool", settings.gateway_url)),
    ];
    let switches = [
        "OPENCODE_DISABLE_MODELS_FETCH",
        "OPENCODE_DISABLE_AUTOUPDATE",
        "OPENCODE_DISABLE_PROJECT_CONFIG",
        "OPENCODE_DISABLE_DEFAULT_PLUGINS",
        "OPENCODE_DISABLE_LSP_DOWNLOAD",
        "OPENCODE_DISABLE_TERMINAL_TITLE",
        // Its file index watches the checkout by inotify, of which all sandboxes of a host have 128 together; with none left the agent stands
        // still in a lock for good. ripgrep does the same work.
        "OPENCODE_DISABLE_FFF",
        "OPENCODE_EXPERIMENTAL_DISABLE_FILEWATCHER",
    ];
    variables.extend(switches.map(|name| (name.to_owned(), "1".to_owned())));
    variables
}

/// The gateway's tool server, for `StartSession`. The token passes through the carrier, which the sandbox alone sees, and whose token it is.
pub fn mcp_server(gateway_url: &str, token: &str) -> McpServer {
    McpServer {
        name: "longshore".to_owned(),
        url: format!("{gateway_url}/mcp"),
        headers: vec![("Authorization".to_owned(), format!("Bearer {token}"))],
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::Value;

    #[test]
    fn the_configuration_names_the_gateway_and_a_variable_never_a_token() {
        let settings = LaunchSettings::new("http://gateway.longshore:7353", "big", "small");
        let environment = environment(&settings);
        let config = environment.iter().find(|(name, _)| name == "OPENCODE_CONFIG_CONTENT").unwrap();
        let config: Value = serde_json::from_str(&config.1).unwrap();
        let options = &config["provider"]["longshore"]["options"];
        assert_eq!(
            *options,
            json!({"baseURL": "http://gateway.longshore:7353/llm/v1", "apiKey": "{env:LONGSHORE_TOKEN}", "includeUsage": true})
        );
        assert_eq!(config["model"], "longshore/big");
        assert!(config["provider"]["longshore"]["models"]["small"].is_object());
        assert!(command(&settings)[2].starts_with("export OPENCODE_SERVER_PASSWORD=\"$LONGSHORE_TOKEN\"\n"));
    }

    #[test]
    fn a_model_that_sees_pictures_is_said_to() {
        let model = |sight| {
            let settings = LaunchSettings { sight, ..LaunchSettings::new("http://gateway.longshore:7353", "big", "small") };
            let config = environment(&settings).into_iter().find(|(name, _)| name == "OPENCODE_CONFIG_CONTENT").unwrap().1;
            serde_json::from_str::<Value>(&config).unwrap()["provider"]["longshore"]["models"]["big"].clone()
        };
        assert_eq!(model(ModelSight::Images)["modalities"]["input"], json!(["text", "image"]));
        assert_eq!(model(ModelSight::TextOnly)["modalities"]["input"], json!(["text"]));
        assert_eq!(model(ModelSight::TextOnly)["attachment"], false);
    }

    #[test]
    fn the_instructions_name_the_tools() {
        for tool in ["open_pull_request", "post_update", "attach_file"] {
            assert!(crate::WORKING_INSTRUCTIONS.contains(tool));
        }
    }
}

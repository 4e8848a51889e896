//! A configuration or manifest that is wrong: the service does not start, and says in which file, at which line, what to do.

use crate::bad_ground::{Ground, MANIFEST};

const SERVE: &str = "longshore.toml";

#[tokio::test]
async fn a_configuration_that_is_not_there_names_one_to_start_from() {
    let run = Ground::new().without(SERVE).serve().await;
    run.refused_with(&["cannot read the configuration longshore.toml", "manifests/longshore.example.toml", "No such file"]);
}

#[tokio::test]
async fn what_toml_itself_can_tell_is_shown_with_the_line() {
    let unknown = Ground::new().spoiled(SERVE, "app_id = 7", "app_id = 7\napp_di = 8").serve().await;
    unknown.refused_with(&["longshore.toml: ", "line 11", "unknown field `app_di`", "expected one of `app_id`"]);
    let wrong_type = Ground::new().spoiled(SERVE, "app_id = 7", "app_id = \"seven\"").serve().await;
    wrong_type.refused_with(&["longshore.toml: ", "line 10", "app_id", "invalid type: string \"seven\", expected u64"]);
    let missing = Ground::new().spoiled(SERVE, "agent = \"large\"\n", "").serve().await;
    missing.refused_with(&["longshore.toml: ", "line 12", "missing field `agent`"]);
    let torn = Ground::new().spoiled(SERVE, "[images]", "[images").serve().await;
    torn.refused_with(&["longshore.toml: ", "line 17", "[images"]);
}

#[tokio::test]
async fn values_that_cannot_be_meant_are_named_with_file_line_and_key() {
    let nobody = Ground::new().spoiled(SERVE, "users = [\"*\"]", "users = []").serve().await;
    nobody.refused_with(&["longshore.toml:8: `access.users` is empty", "name ids, or \"*\" for all"]);
    let address = Ground::new().spoiled(SERVE, "base_url = \"http://127.0.0.1:1/v1\"", "base_url = \"api.example.com/v1\"").serve().await;
    address.refused_with(&["longshore.toml:13: `model.base_url` is no address"]);
    let scheme = Ground::new().spoiled(SERVE, "app_id = 7", "app_id = 7\napi_url = \"ftp://example.com\"").serve().await;
    scheme.refused_with(&["longshore.toml:11: ", "github.api_url", "no http(s) address"]);
    let patience = Ground::new().spoiled(SERVE, "[images]", "[limits]\nturn_seconds = 0\n[images]").serve().await;
    patience.refused_with(&["longshore.toml:18: `limits.turn_seconds` must lie between 1 and"]);
}

#[tokio::test]
async fn secrets_that_are_missing_or_no_such_secrets_are_named_and_never_shown() {
    let unset = Ground::new().without_variable("SLACK_BOT_TOKEN").serve().await;
    unset.refused_with(&["longshore.toml:2: `slack.bot_token_env` names the variable SLACK_BOT_TOKEN", "export it before the start"]);
    let other = Ground::new().spoiled(SERVE, "mode = \"socket\"", "mode = \"socket\"\nbot_token_env = \"SLACK_APP_TOKEN\"").serve().await;
    other.refused_with(&["longshore.toml:4: ", "SLACK_APP_TOKEN", "xoxb-"]);
    assert!(!other.complained.contains("xapp-1-A1-2-three"), "{}", other.complained);
    let gone = Ground::new().without("app.pem").serve().await;
    gone.refused_with(&["longshore.toml:11: cannot read the private key", "app.pem", "generate one on the GitHub App's page"]);
    let nonsense = Ground::new().write("app.pem", "-----BEGIN RSA PRIVATE KEY-----\nnonsense\n").serve().await;
    nonsense.refused_with(&["longshore.toml:11: ", "private key cannot be read", "Generate one on the App's settings page"]);
}

#[tokio::test]
async fn a_manifest_that_is_wrong_names_its_file_and_line() {
    let manifest = "repositories/shop.toml";
    let none = Ground::new().without(manifest).serve().await;
    none.refused_with(&["there is no manifest", "repositories", "docs/manifests.md"]);
    let unknown = Ground::new().spoiled(manifest, "setup = [\"make\"]", "setpu = [\"make\"]").serve().await;
    unknown.refused_with(&["repositories/shop.toml: ", "line 5", "unknown field `setpu`", "`setup`"]);
    let schedule = Ground::new().spoiled(manifest, "*/30 * * * *", "now and then").serve().await;
    schedule.refused_with(&["repositories/shop.toml:6: `image.rebuild`", "`now and then` is no cron expression"]);
    let egress = Ground::new().spoiled(manifest, "deb.debian.org:80", "https://deb.debian.org/debian").serve().await;
    egress.refused_with(&["repositories/shop.toml:3: `egress`", "`https://deb.debian.org/debian`", "without scheme or path"]);
    let twice = Ground::new().write("repositories/store.toml", MANIFEST).serve().await;
    twice.refused_with(&["shop.toml", "store.toml", "both describe acme/shop", "keep one"]);
}

#[tokio::test]
async fn without_an_engine_the_start_says_where_it_looked() {
    let run = Ground::new().serve().await;
    run.refused_with(&["the Docker engine does not answer at /nowhere/docker.sock", "start it"]);
}

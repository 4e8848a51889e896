//! The App's OAuth web flow: consent, code, tokens, refresh; with PKCE.

use std::{collections::HashMap, sync::Arc};

use axum::{
    Form, Json, Router,
    body::Bytes,
    extract::{Query, State},
    http::{HeaderMap, StatusCode, header},
    response::{Html, IntoResponse, Redirect, Response},
    routing::{get, post},
};
use base64::Engine as _;
use serde::Deserialize;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::{
    handle::random_text,
    server::Shared,
    setup::Consent,
    state::{OAuthCode, RefreshToken, Token, TokenKind},
    web::{escape, page},
};

const CODE_LIFE_MS: i64 = 10 * 60 * 1000;
const TOKEN_LIFE_S: i64 = 28_800;
const REFRESH_LIFE_S: i64 = 15_811_200;

pub(super) fn routes() -> Router<Arc<Shared>> {
    Router::new().route("/login/oauth/authorize", get(ask).post(decide)).route("/login/oauth/access_token", post(access_token))
}

#[derive(Debug, Clone, Deserialize)]
struct Authorize {
    client_id: Option<String>,
    redirect_uri: Option<String>,
    state: Option<String>,
    code_challenge: Option<String>,
    code_challenge_method: Option<String>,
}

impl Authorize {
    /// The address to go back to, with a code or an error.
    fn back(&self, fields: &[(&str, &str)]) -> Response {
        let Some(mut url) = self.redirect_uri.as_deref().and_then(|uri| url::Url::parse(uri).ok()) else {
            return (StatusCode::BAD_REQUEST, Html(page("Sign in", "<p>The <code>redirect_uri</code> is missing or no address.</p>")))
                .into_response();
        };
        url.query_pairs_mut().extend_pairs(fields);
        if let Some(state) = &self.state {
            url.query_pairs_mut().append_pair("state", state);
        }
        Redirect::to(url.as_str()).into_response()
    }

    fn approve(&self, shared: &Shared, login: &str) -> Response {
        let code = random_text(20);
        let entry = OAuthCode {
            login: login.to_owned(),
            redirect_uri: self.redirect_uri.clone(),
            challenge: self.code_challenge.clone(),
            expires: shared.clock.now() + CODE_LIFE_MS,
        };
        shared.world().codes.insert(code.clone(), entry);
        self.back(&[("code", &code)])
    }
}

async fn ask(State(shared): State<Arc<Shared>>, Query(query): Query<Authorize>) -> Response {
    if query.client_id.as_deref() != Some(shared.setup.app.client_id.as_str()) {
        return (StatusCode::NOT_FOUND, Html(page("Not found", "<p>There is no App with this <code>client_id</code>.</p>")))
            .into_response();
    }
    if query.code_challenge.is_some() && query.code_challenge_method.as_deref() != Some("S256") {
        return query.back(&[("error", "invalid_request"), ("error_description", "code_challenge_method must be S256")]);
    }
    if let Consent::ApprovedBy(login) = &shared.setup.consent {
        return query.approve(&shared, login);
    }
    let mut hidden = String::new();
    for (name, value) in [
        ("client_id", &query.client_id),
        ("redirect_uri", &query.redirect_uri),
        ("state", &query.state),
        ("code_challenge", &query.code_challenge),
        ("code_challenge_method", &query.code_challenge_method),
    ] {
        if let Some(value) = value {
            hidden.push_str(&format!("<input type=hidden name={name} value=\"{}\">", escape(value)));
        }
    }
    let mut people = String::new();
    for user in shared.world().users.values() {
        let (login, name) = (escape(&user.login), escape(&user.name));
        people.push_str(&format!(
            "<label class=person><input type=radio name=login value=\"{login}\" required> <b>{login}</b> {name}</label>"
        ));
    }
    let app = escape(&shared.setup.app.name);
    let body = format!(
        "<div class=\"card consent\"><h1>Authorize {app}</h1><p>{app} wants to act on your behalf in the repositories that both of you may reach.</p>\
         <form method=post action=/login/oauth/authorize>{hidden}<p class=muted>Sign in as</p>{people}\
         <p><button class=primary name=decision value=allow>Authorize {app}</button> \
         <button name=decision value=deny formnovalidate>Cancel</button></p></form></div>"
    );
    Html(page(&format!("Authorize {app}"), &body)).into_response()
}

#[derive(Deserialize)]
struct Decision {
    #[serde(flatten)]
    query: Authorize,
    decision: String,
    login: Option<String>,
}

async fn decide(State(shared): State<Arc<Shared>>, Form(form): Form<Decision>) -> Response {
    let known = form.login.filter(|login| shared.world().user(login).is_some());
    match known {
        Some(login) if form.decision == "allow" => form.query.approve(&shared, &login),
        _ => form.query.back(&[("error", "access_denied"), ("error_description", "The user has denied your application access.")]),
    }
}

/// Errors of this address are 200 with `error`, as GitHub has them.
struct OAuthError(&'static str, &'static str);

async fn access_token(State(shared): State<Arc<Shared>>, headers: HeaderMap, body: Bytes) -> Response {
    let text = |name: header::HeaderName| headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default().to_owned();
    let fields: HashMap<String, String> = if text(header::CONTENT_TYPE).contains("json") {
        let value: Value = serde_json::from_slice(&body).unwrap_or_default();
        let object = value.as_object().cloned().unwrap_or_default();
        object.into_iter().filter_map(|(name, value)| value.as_str().map(|value| (name, value.to_owned()))).collect()
    } else {
        url::form_urlencoded::parse(&body).into_owned().collect()
    };
    let answer = match exchange(&shared, &fields) {
        Ok(answer) => answer,
        Err(OAuthError(error, description)) => json!({
            "error": error, "error_description": description,
            "error_uri": "https://docs.github.com/apps/oauth-apps/maintaining-oauth-apps/troubleshooting-oauth-app-access-token-request-errors/",
        }),
    };
    if text(header::ACCEPT).contains("json") {
        return Json(answer).into_response();
    }
    let mut form = url::form_urlencoded::Serializer::new(String::new());
    for (name, value) in answer.as_object().into_iter().flatten() {
        form.append_pair(name, &value.as_str().map_or_else(|| value.to_string(), str::to_owned));
    }
    ([(header::CONTENT_TYPE, "application/x-www-form-urlencoded")], form.finish()).into_response()
}

fn exchange(shared: &Shared, fields: &HashMap<String, String>) -> Result<Value, OAuthError> {
    let field = |name: &str| fields.get(name).map(String::as_str);
    if !shared.setup.oauth_client(field("client_id").unwrap_or_default(), field("client_secret").unwrap_or_default()) {
        return Err(OAuthError("incorrect_client_credentials", "The client_id and/or client_secret passed are incorrect."));
    }
    let now = shared.clock.now();
    let mut world = shared.world();
    let login = if field("grant_type") == Some("refresh_token") {
        let token = field("refresh_token").unwrap_or_default();
        let entry = world.refresh_tokens.remove(token).filter(|entry| entry.expires > now);
        entry.ok_or(OAuthError("bad_refresh_token", "The refresh token passed is incorrect or expired."))?.login
    } else {
        let bad_code = OAuthError("bad_verification_code", "The code passed is incorrect or expired.");
        let code = field("code").unwrap_or_default();
        let entry = world.codes.remove(code).filter(|entry| entry.expires > now).ok_or(bad_code)?;
        if field("redirect_uri").is_some_and(|uri| entry.redirect_uri.as_deref() != Some(uri)) {
            return Err(OAuthError(
                "redirect_uri_mismatch",
                "The redirect_uri MUST match the registered callback URL for this application.",
            ));
        }
        if let Some(challenge) = &entry.challenge {
            let digest = Sha256::digest(field("code_verifier").unwrap_or_default());
            if base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(digest) != *challenge {
                return Err(OAuthError("bad_verification_code", "The code_verifier does not match the code_challenge."));
            }
        }
        entry.login
    };
    let token = format!("ghu_{}", random_text(36));
    let refresh = format!("ghr_{}", random_text(76));
    let is = TokenKind::ThroughApp { login: login.clone() };
    world.tokens.insert(token.clone(), Token { is, expires: Some(now + TOKEN_LIFE_S * 1000) });
    world.refresh_tokens.insert(refresh.clone(), RefreshToken { login, expires: now + REFRESH_LIFE_S * 1000 });
    Ok(json!({
        "access_token": token, "expires_in": TOKEN_LIFE_S, "refresh_token": refresh,
        "refresh_token_expires_in": REFRESH_LIFE_S, "scope": "", "token_type": "bearer",
    }))
}

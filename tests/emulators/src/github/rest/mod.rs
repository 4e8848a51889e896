//! The REST API's routes, and what they share.

mod apps;
mod git_data;
mod issues;
mod pulls;
mod repositories;
mod users;

use std::sync::Arc;

use axum::{
    Router,
    extract::{FromRequestParts, OriginalUri, Request},
    http::{HeaderValue, header},
    response::{IntoResponse, Response},
    routing::{delete, get, patch, post, put},
};
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::{error::ApiError, server::Shared};

type Answer = Result<Response, ApiError>;

pub(super) fn routes() -> Router<Arc<Shared>> {
    let repository = Router::new()
        .route("/", get(repositories::show))
        .route("/installation", get(apps::of_repository))
        .route("/branches", get(repositories::branches))
        .route("/branches/{*branch}", get(repositories::branch))
        .route("/commits", get(repositories::commits))
        .route("/commits/{*reference}", get(repositories::commit))
        .route("/compare/{*range}", get(repositories::compare))
        .route("/contents", get(repositories::root_contents))
        .route("/contents/{*path}", get(repositories::contents))
        .route("/collaborators", get(repositories::collaborators))
        .route("/collaborators/{login}/permission", get(repositories::permission))
        .route("/git/ref/{*name}", get(git_data::show))
        .route("/git/matching-refs/{*prefix}", get(git_data::matching))
        .route("/git/refs", post(git_data::create))
        .route("/git/refs/{*name}", patch(git_data::update).delete(git_data::delete))
        .route("/git/commits/{sha}", get(git_data::commit))
        .route("/pulls", get(pulls::list).post(pulls::create))
        .route("/pulls/{number}", get(pulls::show).patch(pulls::update))
        .route("/pulls/{number}/files", get(pulls::files))
        .route("/pulls/{number}/commits", get(pulls::commits))
        .route("/pulls/{number}/merge", put(pulls::merge).get(pulls::is_merged))
        .route("/pulls/{number}/reviews", get(pulls::reviews).post(pulls::review))
        .route("/pulls/{number}/requested_reviewers", get(pulls::reviewers).post(pulls::request_reviewers))
        .route("/issues/{number}/comments", get(issues::comments).post(issues::comment))
        .route("/issues/{number}/labels", get(issues::labels).post(issues::add_labels))
        .route("/issues/{number}/labels/{name}", delete(issues::remove_label))
        .route("/check-runs", post(issues::create_check_run))
        .route("/check-runs/{id}", patch(issues::update_check_run))
        .route("/statuses/{sha}", post(issues::create_status));
    Router::new()
        .route("/rate_limit", get(users::rate_limit))
        .route("/app", get(apps::app))
        .route("/app/installations", get(apps::installations))
        .route("/app/installations/{id}", get(apps::installation))
        .route("/app/installations/{id}/access_tokens", post(apps::create_token))
        .route("/app/hook/deliveries", get(apps::deliveries))
        .route("/app/hook/deliveries/{id}/attempts", post(apps::redeliver))
        .route("/installation/repositories", get(apps::installation_repositories))
        .route("/user", get(users::me))
        .route("/user/emails", get(users::emails))
        .route("/user/installations", get(users::installations))
        .route("/user/installations/{id}/repositories", get(users::installation_repositories))
        .route("/users/{login}", get(users::show))
        .nest("/repos/{owner}/{name}", repository)
}

/// Page number and size, and the address that links are made from.
struct Paging {
    page: usize,
    per_page: usize,
    url: url::Url,
}

impl FromRequestParts<Arc<Shared>> for Paging {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut http::request::Parts, shared: &Arc<Shared>) -> Result<Self, ApiError> {
        let OriginalUri(uri) = OriginalUri::from_request_parts(parts, shared).await.unwrap_or_else(|never| match never {});
        let url = url::Url::parse(&format!("{}{uri}", shared.web_url)).map_err(|_| ApiError::not_found())?;
        let number = |name: &str| url.query_pairs().find(|(key, _)| key == name).and_then(|(_, value)| value.parse::<usize>().ok());
        let page = number("page").unwrap_or(1).max(1);
        let per_page = number("per_page").unwrap_or(30).clamp(1, 100);
        Ok(Self { page, per_page, url })
    }
}

impl Paging {
    /// One page of the list, with a `Link` header where there is more than one. `wrap` puts the page into the call's own shape.
    fn answer(&self, items: Vec<Value>, wrap: impl FnOnce(usize, Vec<Value>) -> Value) -> Response {
        let total = items.len();
        let last = total.div_ceil(self.per_page).max(1);
        let page: Vec<Value> = items.into_iter().skip((self.page - 1) * self.per_page).take(self.per_page).collect();
        let mut response = axum::Json(wrap(total, page)).into_response();
        let mut links = Vec::new();
        if self.page > 1 {
            links.push(self.link(self.page - 1, "prev"));
        }
        if self.page < last {
            links.push(self.link(self.page + 1, "next"));
            links.push(self.link(last, "last"));
        }
        if self.page > 1 {
            links.push(self.link(1, "first"));
        }
        if let Ok(value) = HeaderValue::from_str(&links.join(", "))
            && !links.is_empty()
        {
            response.headers_mut().insert(header::LINK, value);
        }
        response
    }

    fn list(&self, items: Vec<Value>) -> Answer {
        Ok(self.answer(items, |_, page| Value::Array(page)))
    }

    fn link(&self, page: usize, rel: &str) -> String {
        let mut url = self.url.clone();
        let others: Vec<(String, String)> =
            self.url.query_pairs().filter(|(key, _)| key != "page").map(|(key, value)| (key.into_owned(), value.into_owned())).collect();
        url.query_pairs_mut().clear().extend_pairs(others).append_pair("page", &page.to_string());
        format!("<{url}>; rel=\"{rel}\"")
    }
}

/// A JSON body, read whatever its content type says; an empty one is `{}`.
struct Body<T>(T);

impl<T: DeserializeOwned> axum::extract::FromRequest<Arc<Shared>> for Body<T> {
    type Rejection = ApiError;

    async fn from_request(request: Request, _: &Arc<Shared>) -> Result<Self, ApiError> {
        let malformed = || ApiError::new(http::StatusCode::BAD_REQUEST, "Problems parsing JSON");
        let bytes = axum::body::to_bytes(request.into_body(), 5_000_000).await.map_err(|_| malformed())?;
        let bytes: &[u8] = if bytes.is_empty() { b"{}" } else { &bytes };
        let value: Value = serde_json::from_slice(bytes).map_err(|_| malformed())?;
        serde_json::from_value(value).map(Self).map_err(|error| ApiError::unprocessable(format!("Invalid request.\n\n{error}")))
    }
}

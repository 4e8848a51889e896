//! A private package registry, read with a credential that stays with the service.

use axum::{Router, body::Body, http::Request, http::Response};
use longshore_gateway::{HeaderSecret, RegistryRight};

use crate::world::{World, client, serve, world};

const SECRET: &str = "Bearer npm_secret-of-the-service";

/// A registry that shows members an index, whose links lead to itself, and a package; everybody else nothing.
async fn registry() -> std::net::SocketAddr {
    serve(Router::new().fallback(async |request: Request<Body>| {
        let header = |name: &str| request.headers().get(name).and_then(|value| value.to_str().ok()).unwrap_or_default().to_owned();
        let answer = Response::builder();
        if header("authorization") != SECRET {
            return answer.status(401).body(Body::from("members only")).unwrap();
        }
        let own = format!("http://{}/npm/", header("host"));
        match request.uri().path() {
            "/npm/thing" => {
                let index = format!(r#"{{"tarball":"{own}thing/-/thing-1.0.0.tgz?{}"}}"#, request.uri().query().unwrap_or_default());
                answer.header("content-type", "application/vnd.npm.install-v1+json; charset=utf-8").body(Body::from(index)).unwrap()
            }
            "/npm/thing/-/thing-1.0.0.tgz" => {
                answer.header("content-type", "application/octet-stream").header("x-member", "yes").body(Body::from(own)).unwrap()
            }
            "/npm/moved" => answer.status(302).header("location", format!("{own}thing")).body(Body::empty()).unwrap(),
            _ => answer.status(404).body(Body::empty()).unwrap(),
        }
    }))
    .await
}

fn let_in(world: &World, address: std::net::SocketAddr, secret: &str) {
    let right = RegistryRight {
        name: "npm".to_owned(),
        url: format!("http://{address}/npm/").parse().unwrap(),
        header: "authorization".parse().unwrap(),
        value: HeaderSecret::new(secret).unwrap(),
    };
    assert!(!format!("{right:?}").contains("npm_secret"), "{right:?}");
    world.change(|pass| pass.registries = vec![right]);
}

#[tokio::test]
async fn a_registry_is_read_with_the_services_credential_and_its_links_lead_back() {
    let world = world(|_| {}).await;
    let address = registry().await;
    let get = async |path: &str| {
        let answer = client().get(world.url(path)).basic_auth("sandbox", Some(world.token.expose())).send().await.unwrap();
        let status = answer.status().as_u16();
        let member = answer.headers().contains_key("x-member");
        (status, member, answer.text().await.unwrap())
    };
    assert_eq!(get("/registry/npm/thing").await.0, 404, "its pass names no registry");
    let_in(&world, address, SECRET);
    let (status, _, index) = get("/registry/npm/thing?a=b").await;
    let here = format!("http://{}/registry/npm/", world.address);
    assert_eq!((status, index.as_str()), (200, format!(r#"{{"tarball":"{here}thing/-/thing-1.0.0.tgz?a=b"}}"#).as_str()));
    let (status, member, package) = get("/registry/npm/thing/-/thing-1.0.0.tgz").await;
    assert_eq!((status, member, package), (200, false, format!("http://{address}/npm/")), "a package is passed on as it is");
    assert_eq!(get("/registry/npm/none").await.0, 404);
    assert_eq!(get("/registry/other/thing").await.0, 404);
    assert_eq!(get("/registry/npm/a/..%2f..%2fetc").await.0, 400, "the credential is for this registry alone");
    assert_eq!(get("/registry/npm/moved").await.2, index.replace("?a=b", "?"), "a redirect to itself comes back through the gateway");

    let stranger = client().get(world.url("/registry/npm/thing")).bearer_auth("lsx_other").send().await.unwrap();
    assert_eq!(stranger.status(), 401);
    let written = client().put(world.url("/registry/npm/thing")).bearer_auth(world.token.expose()).send().await.unwrap();
    assert_eq!(written.status(), 405, "nothing is published");
    let_in(&world, address, "Bearer old");
    let (status, _, words) = get("/registry/npm/thing").await;
    assert!(status == 502 && words.contains("does not take the service's credential") && !words.contains("members only"), "{words}");
}

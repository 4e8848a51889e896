use std::{net::SocketAddr, time::Duration};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};

use crate::world::{Log, World, client, command, hello, run, world};

/// A gateway whose operator allows loopback, a pass that names `localhost` on the server's port, and that server.
async fn allowed() -> (World, SocketAddr, Log) {
    let (server, log) = hello().await;
    let world = world(|config| config.proxy.allow_private.push("127.0.0.0/8".parse().unwrap())).await;
    world.change(|pass| pass.egress = vec![format!("localhost:{}", server.port()).parse().unwrap()]);
    (world, server, log)
}

/// curl's exit status, what it wrote, and what it said with `-v`.
async fn curl(world: &World, arguments: &str) -> (bool, String, String) {
    let proxy = format!("http://sandbox:{}@{}", world.token.expose(), world.address);
    let output = run(command("curl").args(["-sv", "--max-time", "20", "-x", &proxy]).args(arguments.split_whitespace())).await;
    (output.status.success(), String::from_utf8_lossy(&output.stdout).into_owned(), String::from_utf8_lossy(&output.stderr).into_owned())
}

#[tokio::test]
async fn what_the_egress_names_is_reached_through_a_tunnel() {
    let (world, server, log) = allowed().await;
    let (ok, body, said) = curl(&world, &format!("--proxytunnel http://localhost:{}/a?b=c", server.port())).await;
    assert!(ok && body == "hello", "{said}");
    assert_eq!(log.lock().unwrap()[0].uri.to_string(), "/a?b=c");
}

#[tokio::test]
async fn what_the_egress_names_is_reached_by_a_plain_request() {
    let (world, server, log) = allowed().await;
    let url = format!("http://localhost:{}/a?b=c", server.port());
    let (ok, body, said) = curl(&world, &format!("-H X-Kept:1 -H X-Hop:1 -H Connection:X-Hop -H Host:other.example {url}")).await;
    assert!(ok && body == "hello", "{said}");
    let (ok, _, said) = curl(&world, &format!("--data-binary {} {url}", "x".repeat(5000))).await;
    assert!(ok, "{said}");
    let (ok, _, said) = curl(&world, &format!("-H Transfer-Encoding:chunked --data-binary chunky {url}")).await;
    assert!(ok, "{said}");
    let log = log.lock().unwrap();
    assert_eq!(log[0].uri.to_string(), "/a?b=c");
    assert_eq!(log[0].headers["host"], format!("localhost:{}", server.port()));
    assert_eq!(log[0].headers["x-kept"], "1");
    for stripped in ["x-hop", "proxy-authorization", "proxy-connection"] {
        assert!(log[0].headers.get(stripped).is_none(), "{stripped}");
    }
    assert_eq!(log[1].body.len(), 5000);
    assert_eq!(log[2].body, "chunky");
}

#[tokio::test]
async fn what_the_egress_does_not_name_is_refused_and_says_what_to_change() {
    let (world, server, log) = allowed().await;
    let (_, body, _) = curl(&world, "http://evil.example/").await;
    assert_eq!(
        body,
        "longshore: evil.example:80 may not be reached from this sandbox. To allow it, add \"evil.example\" to `egress` in the repository's manifest.\n"
    );
    // Of a refused tunnel curl shows the status line.
    let (ok, _, said) = curl(&world, &format!("--proxytunnel http://127.0.0.1:{}/", server.port())).await;
    assert!(!ok);
    let entry = format!("add \"127.0.0.1:{}\" to `egress`", server.port());
    assert!(said.contains("HTTP/1.1 403 longshore: 127.0.0.1:") && said.contains(&entry), "{said}");
    assert_eq!(log.lock().unwrap().len(), 0);
}

#[tokio::test]
async fn a_private_address_needs_the_operator_too() {
    let (server, log) = hello().await;
    let world = world(|_| ()).await;
    world.change(|pass| pass.egress = ["localhost", "127.0.0.1"].map(|host| format!("{host}:{}", server.port()).parse().unwrap()).into());
    for host in ["localhost", "127.0.0.1"] {
        for way in ["", "--proxytunnel"] {
            let (_, body, said) = curl(&world, &format!("{way} http://{host}:{}/", server.port())).await;
            let text = format!("{body}{said}");
            assert!(text.contains("403") && text.contains("which is no public address") && text.contains("`allow_private`"), "{text}");
        }
    }
    assert_eq!(log.lock().unwrap().len(), 0);
}

#[tokio::test]
async fn a_stranger_is_asked_for_a_token() {
    let (world, server, _) = allowed().await;
    let proxy = format!("http://{}", world.address);
    let url = format!("http://localhost:{}/", server.port());
    for way in [vec![], vec!["--proxytunnel"], vec!["--proxy-user", "x:lsx_wrong"]] {
        let output = run(command("curl").args(["-sv", "--max-time", "20", "-x", &proxy, &url]).args(&way)).await;
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(said.contains("HTTP/1.1 407") && said.to_lowercase().contains("proxy-authenticate: basic"), "{said}");
    }
    world.passes.bind(&world.sandbox, "127.0.0.2".parse().unwrap());
    let (_, _, said) = curl(&world, &url).await;
    assert!(said.contains("HTTP/1.1 407"), "{said}");
}

#[tokio::test]
async fn what_cannot_be_reached_or_understood_is_said() {
    let (world, _, _) = allowed().await;
    world.change(|pass| pass.egress = vec!["localhost:1".parse().unwrap(), "no-such-host.invalid".parse().unwrap()]);
    let (_, body, _) = curl(&world, "http://localhost:1/").await;
    assert!(body.starts_with("longshore: localhost:1 cannot be reached"), "{body}");
    let (_, body, _) = curl(&world, "http://no-such-host.invalid/").await;
    assert_eq!(body, "longshore: there is no address for no-such-host.invalid\n");
    for line in ["CONNECT localhost HTTP/1.1", "GET https://localhost:1/ HTTP/1.1", "GET ftp://localhost:1/ HTTP/1.1"] {
        let said = raw(&world, &format!("{line}\r\nHost: x\r\nProxy-Authorization: Bearer {}\r\n\r\n", world.token.expose())).await;
        assert!(said.starts_with("HTTP/1.1 400"), "{line}: {said}");
    }
}

/// Sends `text` and reads until the head of the answer is there.
async fn raw(world: &World, text: &str) -> String {
    let mut stream = TcpStream::connect(world.address).await.unwrap();
    stream.write_all(text.as_bytes()).await.unwrap();
    head(&mut stream).await
}

async fn head(stream: &mut TcpStream) -> String {
    let mut read = Vec::new();
    while !read.ends_with(b"\r\n\r\n") {
        let byte = tokio::time::timeout(Duration::from_secs(20), stream.read_u8()).await.unwrap();
        let Ok(byte) = byte else { break };
        read.push(byte);
    }
    String::from_utf8(read).unwrap()
}

/// A tunnel to a server that says nothing, both ends in hand.
async fn tunnel(world: &World) -> (TcpStream, TcpStream) {
    let server = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = server.local_addr().unwrap().port();
    world.change(|pass| pass.egress = vec![format!("localhost:{port}").parse().unwrap()]);
    let mut near = TcpStream::connect(world.address).await.unwrap();
    let request = format!(
        "CONNECT localhost:{port} HTTP/1.1\r\nHost: localhost:{port}\r\nProxy-Authorization: Bearer {}\r\n\r\n",
        world.token.expose()
    );
    near.write_all(request.as_bytes()).await.unwrap();
    assert!(head(&mut near).await.starts_with("HTTP/1.1 200"));
    let (far, _) = server.accept().await.unwrap();
    (near, far)
}

#[tokio::test]
async fn a_tunnel_carries_bytes_both_ways_and_closes_half_by_half() {
    let (world, _, _) = allowed().await;
    let (mut near, mut far) = tunnel(&world).await;
    near.write_all(b"ping").await.unwrap();
    near.shutdown().await.unwrap();
    let mut got = Vec::new();
    far.read_to_end(&mut got).await.unwrap();
    assert_eq!(got, b"ping");
    far.write_all(b"pong").await.unwrap();
    drop(far);
    got.clear();
    near.read_to_end(&mut got).await.unwrap();
    assert_eq!(got, b"pong");
}

#[tokio::test]
async fn a_silent_tunnel_is_closed() {
    let world = world(|config| {
        config.proxy.allow_private.push("127.0.0.0/8".parse().unwrap());
        config.limits.tunnel_idle = Duration::from_millis(50);
    })
    .await;
    let (mut near, _far) = tunnel(&world).await;
    let ended = tokio::time::timeout(Duration::from_secs(20), near.read(&mut [0; 8])).await.expect("closed in time");
    assert_eq!(ended.unwrap_or(0), 0);
}

#[tokio::test]
async fn a_shutdown_ends_tunnels() {
    let world = world(|config| {
        config.proxy.allow_private.push("127.0.0.0/8".parse().unwrap());
        config.limits.drain = Duration::from_millis(50);
    })
    .await;
    let (mut near, _far) = tunnel(&world).await;
    world.shutdown.cancel();
    tokio::time::timeout(Duration::from_secs(20), world.serving).await.expect("ended").unwrap().unwrap();
    assert_eq!(near.read(&mut [0; 8]).await.unwrap_or(0), 0);
}

#[tokio::test]
async fn the_gateway_asked_for_through_itself_is_the_gateway() {
    let (world, _, _) = allowed().await;
    let (ok, body, said) = curl(&world, "http://gateway.longshore:7353/healthz").await;
    assert!(ok && body == "ok\n", "{said}");
    assert_eq!(client().get(world.url("/healthz")).send().await.unwrap().text().await.unwrap(), "ok\n");
    assert_eq!(client().get(world.url("/nothing")).send().await.unwrap().status(), 404);
}

#[tokio::test]
async fn a_request_s_head_must_come_in_time() {
    let world = world(|config| config.limits.header = Duration::from_millis(50)).await;
    let mut stream = TcpStream::connect(world.address).await.unwrap();
    stream.write_all(b"GET /healthz HTTP/1.1\r\n").await.unwrap();
    let mut rest = Vec::new();
    tokio::time::timeout(Duration::from_secs(20), stream.read_to_end(&mut rest)).await.expect("closed in time").unwrap();
}

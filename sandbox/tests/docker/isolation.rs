//! What a sandbox cannot do.

use std::{
    io::Write,
    net::IpAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::Duration,
};

use longshore_sandbox::{DockerEngine, Engine, Exec, ExecEnd, ExecUser};

use crate::fixture::{Fixture, GATEWAY_PORT, SECRET, config, docker, with_engine};
use longshore_session::SandboxId;

/// Answers `hello` to whoever connects, until it is dropped: the next network may have the same addresses.
struct Greeter {
    port: u16,
    over: Arc<AtomicBool>,
    thread: Option<thread::JoinHandle<()>>,
}

fn greet(fixture: &Fixture, address: IpAddr, port: u16) -> Greeter {
    let listener = fixture.listen(address, port);
    let port = listener.local_addr().unwrap().port();
    listener.set_nonblocking(true).unwrap();
    let over = Arc::new(AtomicBool::new(false));
    let is_over = Arc::clone(&over);
    let thread = thread::spawn(move || {
        while !is_over.load(Ordering::SeqCst) {
            match listener.accept() {
                Ok((mut stream, _)) => drop(stream.write_all(b"hello\n")),
                Err(_) => thread::sleep(Duration::from_millis(20)),
            }
        }
    });
    Greeter { port, over, thread: Some(thread) }
}

impl Drop for Greeter {
    fn drop(&mut self) {
        self.over.store(true, Ordering::SeqCst);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// Whether a sandbox gets an answer from there.
async fn reaches(fixture: &Fixture, id: &SandboxId, host: &str, port: u16) -> bool {
    let line = format!("timeout 2 bash -c 'exec 3<>/dev/tcp/{host}/{port} && head -n 1 <&3'");
    fixture.run(id, &line).await.stdout_text() == "hello\n"
}

#[test]
fn a_sandbox_reaches_the_gateway_and_nothing_else() {
    with_engine(async |fixture| {
        let gateway = fixture.engine.gateway_address();
        let _door = greet(&fixture, gateway, GATEWAY_PORT);
        let other_port = greet(&fixture, gateway, 0);
        let everywhere = greet(&fixture, "0.0.0.0".parse().unwrap(), 0);
        let (first, second) = (fixture.start().await, fixture.start().await);
        assert_ne!(first.address, second.address);

        assert!(reaches(&fixture, &first.id, "gateway.longshore", GATEWAY_PORT).await, "the gateway is its only door");
        assert!(reaches(&fixture, &first.id, &gateway.to_string(), GATEWAY_PORT).await);
        assert!(!reaches(&fixture, &first.id, &gateway.to_string(), other_port.port).await, "another port of the host's");
        assert!(!reaches(&fixture, &first.id, &gateway.to_string(), everywhere.port).await, "a listener on all addresses");
        assert!(!reaches(&fixture, &first.id, "172.17.0.1", everywhere.port).await, "another address of the host's");

        let listen = "nohup perl -MIO::Socket::INET -e '$s=IO::Socket::INET->new(LocalPort=>9000,Listen=>5,ReuseAddr=>1) or die; while($c=$s->accept){print $c \"hello\\n\";close $c}' >/dev/null 2>&1 &";
        fixture.run(&second.id, listen).await;
        let own = second.address.to_string();
        let mut up = false;
        for _ in 0..50 {
            up = up || reaches(&fixture, &second.id, &own, 9000).await;
            if up {
                break;
            }
        }
        assert!(up, "the neighbour listens");
        assert!(!reaches(&fixture, &first.id, &own, 9000).await, "a neighbour");
        // The host may speak to a sandbox, and is answered.
        assert!(tokio::net::TcpStream::connect((second.address, 9000)).await.is_ok());

        assert!(!fixture.run(&first.id, "getent hosts deb.debian.org").await.succeeded(), "names of the world");
        assert_eq!(fixture.text(&first.id, "cat /proc/net/if_inet6 2>/dev/null | grep -v ' lo$' || true").await, "", "an IPv6 address");
        assert!(!fixture.run(&first.id, "timeout 3 bash -c 'exec 3<>/dev/tcp/1.1.1.1/53'").await.succeeded());
    });
}

#[test]
fn the_firewall_is_renewed_and_goes_with_the_network() {
    with_engine(async |fixture| {
        let gateway = fixture.engine.gateway_address();
        let door = greet(&fixture, gateway, GATEWAY_PORT);
        let port = door.port;
        // A second service of the same namespace, as after a restart, and one that was told another port.
        let carriers = fixture.folder.path().join("carriers");
        DockerEngine::connect(config(&fixture.namespace, carriers.clone())).await.unwrap();
        let sandbox = fixture.start().await;
        assert!(reaches(&fixture, &sandbox.id, "gateway.longshore", port).await);
        let mut other = config(&fixture.namespace, carriers);
        other.gateway_port = port + 1;
        DockerEngine::connect(other).await.unwrap();
        assert!(!reaches(&fixture, &sandbox.id, "gateway.longshore", port).await);
        let rules = std::process::Command::new("/usr/sbin/iptables").args(["-w", "-S", "INPUT"]).output().unwrap();
        let rules = String::from_utf8(rules.stdout).unwrap();
        let bridge = docker(&[
            "network",
            "inspect",
            "--format",
            "{{index .Options \"com.docker.network.bridge.name\"}}",
            fixture.namespace.as_str(),
        ]);
        assert_eq!(rules.matches(bridge.trim()).count(), 1, "{rules}");

        fixture.engine.remove(&sandbox.id).await.unwrap();
        fixture.engine.remove_network().await.unwrap();
        let rules = std::process::Command::new("/usr/sbin/iptables-save").output().unwrap();
        let rules = String::from_utf8(rules.stdout).unwrap();
        assert!(!rules.contains(bridge.trim()), "{rules}");
    });
}

#[test]
fn a_sandbox_has_no_rights() {
    with_engine(async |fixture| {
        let sandbox = fixture.start().await;
        let status = fixture.text(&sandbox.id, "grep -E '^(Cap|NoNewPrivs)' /proc/1/status /proc/self/status").await;
        for line in status.lines() {
            let value = line.split_whitespace().last().unwrap();
            assert_eq!(u64::from_str_radix(value, 16).unwrap(), u64::from(line.contains("NoNewPrivs")), "{line}");
        }
        assert_eq!(status.lines().count(), 12);
        let root = fixture.engine.exec(&sandbox.id, Exec::shell("chown 1000 /etc/hostname").user(ExecUser::Root)).await.unwrap();
        assert_eq!(root.end, ExecEnd::Exited(1), "root without capabilities");
        // The agent may add to its own files of the carrier, not to what it is told, and can replace none.
        let line = "cd /run/longshore; echo x >>out && ! echo x >>in && ! echo x >>env && ! rm -f in && ! touch more && ! mv out old";
        assert!(fixture.run(&sandbox.id, line).await.succeeded());
    });
}

#[test]
fn no_secret_is_in_what_the_engine_knows() {
    with_engine(async |fixture| {
        let sandbox = fixture.start().await;
        fixture.text(&sandbox.id, "test -n \"$LONGSHORE_TOKEN\"").await;
        let name = fixture.container(&sandbox.id);
        let known = docker(&["inspect", &name]) + &docker(&["top", &name, "aux"]) + &docker(&["logs", &name]);
        assert!(known.contains("/run/longshore") && !known.contains(SECRET), "{known}");
        // Whole seconds: a negative span lies ahead, so that this second's events are in.
        let events = docker(&["events", "--since", "1m", "--until=-2s", "--filter", &format!("container={name}")]);
        assert!(events.contains("exec_create") && !events.contains(SECRET), "{events}");
        let debugged = format!("{:?}", fixture.request(&sandbox.id));
        assert!(debugged.contains("LONGSHORE_TOKEN") && !debugged.contains(SECRET));
    });
}

//! The network that sandboxes are on: an internal bridge, on which they reach one port of the host's and nothing else.

use std::{collections::HashMap, net::Ipv4Addr, process::Stdio, time::Duration};

use bollard::{
    models::{NetworkCreateRequest, NetworkInspect},
    query_parameters::InspectNetworkOptions,
};
use tokio::{io::AsyncWriteExt, process::Command};

use super::client::{Client, QUICK, SLOW, already};
use crate::{EngineError, Namespace, names::short_hash};

const ICC: &str = "com.docker.network.bridge.enable_icc";
const BRIDGE: &str = "com.docker.network.bridge.name";

/// Interface names have at most 15 characters, so the namespace stands in them as a hash.
fn bridge_name(namespace: &Namespace) -> String {
    format!("ls-{}", short_hash(namespace.as_str().as_bytes(), 10))
}

fn chain_name(namespace: &Namespace) -> String {
    format!("LONGSHORE-{}", short_hash(namespace.as_str().as_bytes(), 10))
}

/// Makes the network where it is missing, renews the firewall's rules, and gives the bridge's own address.
pub(super) async fn ensure(client: &Client, namespace: &Namespace, gateway_port: u16) -> Result<Ipv4Addr, EngineError> {
    let network = match inspect(client, namespace).await? {
        Some(network) => network,
        None => {
            create(client, namespace).await?;
            inspect(client, namespace).await?.unwrap_or_default()
        }
    };
    let wrong = |wrong: &str| EngineError::WrongNetwork { network: namespace.to_string(), wrong: wrong.to_owned() };
    let bridge = bridge_name(namespace);
    let option = |key: &str| network.options.as_ref().and_then(|options| options.get(key)).map(String::as_str);
    if network.internal != Some(true) {
        return Err(wrong("it is not internal"));
    }
    if option(ICC) != Some("false") {
        return Err(wrong("containers on it can reach each other"));
    }
    if option(BRIDGE) != Some(bridge.as_str()) {
        return Err(wrong("its bridge has another name"));
    }
    let configs = network.ipam.and_then(|ipam| ipam.config).unwrap_or_default();
    let gateway = configs.iter().filter_map(|config| config.gateway.as_deref()).find_map(|text| {
        // Some engines give the address with its prefix length.
        text.split('/').next().and_then(|address| address.parse::<Ipv4Addr>().ok())
    });
    let gateway = gateway.ok_or_else(|| wrong("it has no gateway address"))?;
    close_firewall(namespace, gateway, gateway_port).await?;
    Ok(gateway)
}

/// Removes network and rules.
pub(super) async fn remove(client: &Client, namespace: &Namespace) -> Result<(), EngineError> {
    let removed = client.call("removing the network", SLOW, client.docker.remove_network(namespace.as_str())).await;
    if let Err(fault) = removed
        && !fault.is(404)
    {
        return Err(fault.error);
    }
    open_firewall(namespace).await
}

async fn inspect(client: &Client, namespace: &Namespace) -> Result<Option<NetworkInspect>, EngineError> {
    let call = client.docker.inspect_network(namespace.as_str(), None::<InspectNetworkOptions>);
    match client.call("reading the network", QUICK, call).await {
        Ok(network) => Ok(Some(network)),
        Err(fault) if fault.is(404) => Ok(None),
        Err(fault) => Err(fault.error),
    }
}

async fn create(client: &Client, namespace: &Namespace) -> Result<(), EngineError> {
    let options = HashMap::from([(ICC.to_owned(), "false".to_owned()), (BRIDGE.to_owned(), bridge_name(namespace))]);
    let request = NetworkCreateRequest {
        name: namespace.to_string(),
        driver: Some("bridge".to_owned()),
        internal: Some(true),
        enable_ipv6: Some(false),
        options: Some(options),
        labels: Some(HashMap::from([(super::container::NAMESPACE_LABEL.to_owned(), namespace.to_string())])),
        ..Default::default()
    };
    // Somebody else may have made it in between: what counts is what is there afterwards.
    already(client.call("making the network", SLOW, client.docker.create_network(request)).await.map(drop))
}

/// An internal network still lets containers reach every address of the host's. This lets them reach one port.
async fn close_firewall(namespace: &Namespace, gateway: Ipv4Addr, port: u16) -> Result<(), EngineError> {
    let (chain, bridge) = (chain_name(namespace), bridge_name(namespace));
    // One transaction: naming a chain empties it, and no packet sees it half filled. Answers to connections of the host's own may come in.
    let rules = format!(
        "*filter\n:{chain} - [0:0]\n\
         -A {chain} -d {gateway} -p tcp --dport {port} -j ACCEPT\n\
         -A {chain} -m conntrack --ctstate ESTABLISHED,RELATED -j ACCEPT\n\
         -A {chain} -j DROP\nCOMMIT\n"
    );
    run("iptables-restore", &["--wait", "10", "--noflush"], &rules).await?;
    let jump = ["INPUT", "-i", bridge.as_str(), "-j", chain.as_str()];
    ensure_first("iptables", &jump).await?;
    // Interfaces may have a link-local IPv6 address, by which the host could be reached as well. A host without IPv6 needs no rule.
    let drop_ipv6 = ["INPUT", "-i", bridge.as_str(), "-j", "DROP"];
    if let Err(error) = ensure_first("ip6tables", &drop_ipv6).await {
        tracing::info!(%error, "no IPv6 firewall on this host");
    }
    Ok(())
}

async fn open_firewall(namespace: &Namespace) -> Result<(), EngineError> {
    let (chain, bridge) = (chain_name(namespace), bridge_name(namespace));
    let jump = ["INPUT", "-i", bridge.as_str(), "-j", chain.as_str()];
    while iptables("iptables", "-C", &jump).await.is_ok() {
        iptables("iptables", "-D", &jump).await?;
    }
    if run("iptables", &["--wait", "10", "-n", "-L", &chain], "").await.is_ok() {
        run("iptables", &["--wait", "10", "-F", &chain], "").await?;
        run("iptables", &["--wait", "10", "-X", &chain], "").await?;
    }
    let drop_ipv6 = ["INPUT", "-i", bridge.as_str(), "-j", "DROP"];
    while iptables("ip6tables", "-C", &drop_ipv6).await.is_ok() {
        iptables("ip6tables", "-D", &drop_ipv6).await?;
    }
    Ok(())
}

async fn ensure_first(program: &str, rule: &[&str]) -> Result<(), EngineError> {
    if iptables(program, "-C", rule).await.is_ok() {
        return Ok(());
    }
    iptables(program, "-I", rule).await
}

async fn iptables(program: &str, action: &str, rule: &[&str]) -> Result<(), EngineError> {
    let mut arguments = vec!["--wait", "10", action];
    arguments.extend(rule);
    run(program, &arguments, "").await
}

/// Whether the service may change the firewall; the error says why not.
pub(crate) async fn firewall_works() -> Result<(), EngineError> {
    run("iptables", &["--wait", "10", "-n", "-L", "INPUT"], "").await
}

async fn run(program: &str, arguments: &[&str], stdin: &str) -> Result<(), EngineError> {
    let firewall = |reason: String| EngineError::Firewall { reason };
    // Services often run with a PATH that leaves out the system's own programs.
    let path = format!("{}:/usr/sbin:/sbin", std::env::var("PATH").unwrap_or_default());
    let mut command = Command::new(program);
    command.args(arguments).env("PATH", path).stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::piped()).kill_on_drop(true);
    let mut child = command.spawn().map_err(|error| firewall(format!("{program}: {error}")))?;
    if let Some(mut pipe) = child.stdin.take() {
        pipe.write_all(stdin.as_bytes()).await.map_err(|error| firewall(format!("{program}: {error}")))?;
    }
    let output = tokio::time::timeout(Duration::from_secs(20), child.wait_with_output())
        .await
        .map_err(|_| firewall(format!("{program} did not end within 20 s")))?
        .map_err(|error| firewall(format!("{program}: {error}")))?;
    if output.status.success() {
        return Ok(());
    }
    Err(firewall(format!("{program}: {}", String::from_utf8_lossy(&output.stderr).trim())))
}

//! Which hosts a sandbox may reach, and which addresses nobody may.

use std::{fmt, net::IpAddr, str::FromStr};

use ipnet::IpNet;

use crate::ProxyPolicy;

/// One entry of a manifest's `egress`: `host`, `*.host` (its sub-domains, not itself), each with an optional `:port`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EgressRule {
    host: HostPattern,
    /// None: 80 and 443.
    port: Option<u16>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum HostPattern {
    Exactly(String),
    /// Kept with the leading point.
    Below(String),
}

/// Why a text is no egress rule.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not an egress entry: `host`, `*.host`, `host:port` or `*.host:port`, without scheme or path")]
pub struct InvalidEgress(String);

impl EgressRule {
    pub(crate) fn matches(&self, target: &Target) -> bool {
        let host = match &self.host {
            HostPattern::Exactly(host) => *host == target.host,
            HostPattern::Below(suffix) => target.host.len() > suffix.len() && target.host.ends_with(suffix.as_str()),
        };
        host && self.port.map_or(matches!(target.port, 80 | 443), |port| port == target.port)
    }
}

impl FromStr for EgressRule {
    type Err = InvalidEgress;

    fn from_str(text: &str) -> Result<Self, InvalidEgress> {
        let invalid = || InvalidEgress(text.to_owned());
        let (wild, rest) = text.strip_prefix("*.").map_or((None, text), |rest| (Some("."), rest));
        let (host, port) = split_port(rest).ok_or_else(invalid)?;
        let host = host_name(host).ok_or_else(invalid)?;
        let is_address = host.parse::<IpAddr>().is_ok();
        match wild {
            Some(_) if is_address => Err(invalid()),
            Some(point) => Ok(Self { host: HostPattern::Below(format!("{point}{host}")), port }),
            None => Ok(Self { host: HostPattern::Exactly(host), port }),
        }
    }
}

impl fmt::Display for EgressRule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.host {
            HostPattern::Exactly(host) if host.contains(':') => write!(f, "[{host}]")?,
            HostPattern::Exactly(host) => write!(f, "{host}")?,
            HostPattern::Below(suffix) => write!(f, "*{suffix}")?,
        }
        self.port.map_or(Ok(()), |port| write!(f, ":{port}"))
    }
}

/// Where a sandbox wants to go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Target {
    /// Lower case, without the root's point and without brackets.
    pub host: String,
    pub port: u16,
}

impl Target {
    /// From a request's authority; `default_port` where it names none. None for whatever is not a plain host or address.
    pub fn parse(authority: &http::uri::Authority, default_port: Option<u16>) -> Option<Self> {
        // Credentials in an authority go nowhere we know of: such a request is not understood rather than half understood.
        if authority.as_str().contains('@') {
            return None;
        }
        let (host, port) = split_port(authority.as_str())?;
        Some(Self { host: host_name(host)?, port: port.or(default_port)? })
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.host.contains(':') { write!(f, "[{}]:{}", self.host, self.port) } else { write!(f, "{}:{}", self.host, self.port) }
    }
}

/// `host`, `host:port`, `[v6]`, `[v6]:port`.
fn split_port(text: &str) -> Option<(&str, Option<u16>)> {
    let (host, port) = if let Some(rest) = text.strip_prefix('[') {
        let (host, after) = rest.split_once(']')?;
        // Brackets hold an IPv6 address and nothing else.
        host.parse::<std::net::Ipv6Addr>().ok()?;
        match after {
            "" => (host, None),
            _ => (host, Some(after.strip_prefix(':')?)),
        }
    } else {
        text.split_once(':').map_or((text, None), |(host, port)| (host, Some(port)))
    };
    match port {
        None => Some((host, None)),
        Some(port) if port.bytes().all(|c| c.is_ascii_digit()) => Some((host, Some(port.parse().ok().filter(|port| *port != 0)?))),
        Some(_) => None,
    }
}

/// The one spelling of a host's name; addresses in their canonical form.
fn host_name(text: &str) -> Option<String> {
    if let Ok(address) = text.parse::<IpAddr>() {
        return Some(address.to_string());
    }
    let host = text.strip_suffix('.').unwrap_or(text).to_ascii_lowercase();
    let label = |label: &str| {
        !label.is_empty() && label.len() <= 63 && label.bytes().all(|c| c.is_ascii_alphanumeric() || matches!(c, b'-' | b'_'))
    };
    (host.len() <= 253 && host.split('.').all(label)).then_some(host)
}

/// Ranges in which there is no public host: private, loopback, link-local (and with it the clouds' metadata services), carrier NAT, benchmarks,
/// documentation, multicast, reserved. After IANA's special-purpose registries.
const NOT_PUBLIC_V4: [(u32, u8); 16] = [
    (0x0000_0000, 8),
    (0x0a00_0000, 8),
    (0x6440_0000, 10),
    (0x7f00_0000, 8),
    (0xa9fe_0000, 16),
    (0xac10_0000, 12),
    (0xc000_0000, 24),
    (0xc000_0200, 24),
    (0xc058_6300, 24),
    (0xc0a8_0000, 16),
    (0xc612_0000, 15),
    (0xc633_6400, 24),
    (0xcb00_7100, 24),
    (0xe000_0000, 4),
    (0xf000_0000, 4),
    // Azure's platform address looks public and is not: it serves metadata and credentials to whoever is on the host.
    (0xa83f_8110, 32),
];

/// Whether the proxy may connect to `address`.
pub(crate) fn is_reachable(address: IpAddr, policy: &ProxyPolicy) -> bool {
    let address = address.to_canonical();
    is_public(address) || policy.allow_private.iter().any(|range: &IpNet| range.contains(&address))
}

fn is_public(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => {
            let bits = u32::from(address);
            !NOT_PUBLIC_V4.iter().any(|(network, length)| bits >> (32 - length) == network >> (32 - length))
        }
        IpAddr::V6(address) => {
            let parts = address.segments();
            match parts {
                // NAT64 and 6to4 carry an IPv4 address, which decides.
                [0x64, 0xff9b, 0, 0, 0, 0, high, low] | [0x2002, high, low, ..] => {
                    is_public(IpAddr::V4((u32::from(high) << 16 | u32::from(low)).into()))
                }
                // Teredo, ORCHID and benchmarks (2001::/23), documentation (2001:db8::/32 and 3fff::/20).
                [0x2001, second, ..] if second < 0x200 || second == 0xdb8 => false,
                [0x3fff, second, ..] if second < 0x1000 => false,
                // Global unicast is 2000::/3; all else is loopback, local, mapped or not given out.
                [first, ..] => first & 0xe000 == 0x2000,
            }
        }
    }
}

#[cfg(any(test, fuzzing))]
pub(crate) mod fuzz {
    use super::*;

    /// Two lines: a rule, and where a sandbox wants to go.
    pub const HOSTS: &[&[u8]] = &[
        b"*.example.com:443\nwww.example.com:443",
        b"example.com\nEXAMPLE.com.:80",
        b"[::1]:8080\n[::1]:8080",
        b"*.com\nevil@x.com",
        b"127.0.0.1\n0x7f.1:80",
    ];

    /// A rule reads as it was written, lets out nothing but what its own words name, and a target with a user in it is none.
    pub fn host(bytes: &[u8]) {
        let text = String::from_utf8_lossy(bytes);
        let (rule, target) = text.split_once('\n').unwrap_or((&text, ""));
        let rule = rule.parse::<EgressRule>().ok();
        let target = target.parse::<http::uri::Authority>().ok().and_then(|authority| Target::parse(&authority, Some(443)));
        if let Some(rule) = &rule {
            assert_eq!(rule.to_string().parse::<EgressRule>().as_ref(), Ok(rule));
        }
        if let Some(target) = &target {
            assert!(!target.to_string().contains(['@', '/', '?', '#', ' ']) && target.port != 0, "{target}");
            let again = target.to_string().parse::<http::uri::Authority>().ok().and_then(|authority| Target::parse(&authority, None));
            assert_eq!(again.as_ref(), Some(target));
        }
        if let (Some(rule), Some(target)) = (&rule, &target)
            && rule.matches(target)
        {
            let printed = rule.to_string();
            let named = printed.trim_start_matches('*').trim_start_matches('[');
            let host = target.host.as_str();
            assert!(named.starts_with(host) || host.ends_with(named.split(':').next().unwrap_or_default()), "{printed} let {target} out");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn rule(text: &str) -> EgressRule {
        text.parse().unwrap()
    }

    fn target(text: &str) -> Option<Target> {
        Target::parse(&text.parse().ok()?, None)
    }

    #[test]
    fn a_rule_lets_through_what_it_names() {
        let cases = [
            ("crates.io", "crates.io:443", true),
            ("crates.io", "CRATES.io.:80", true),
            ("crates.io", "crates.io:8080", false),
            ("crates.io", "index.crates.io:443", false),
            ("crates.io", "evilcrates.io:443", false),
            ("*.crates.io", "index.crates.io:443", true),
            ("*.crates.io", "a.b.crates.io:443", true),
            ("*.crates.io", "crates.io:443", false),
            ("*.crates.io", "evilcrates.io:443", false),
            ("crates.io:22", "crates.io:22", true),
            ("crates.io:22", "crates.io:443", false),
            ("*.crates.io:22", "x.crates.io:22", true),
            ("10.0.0.7:5432", "10.0.0.7:5432", true),
            ("[2606:4700::1]:443", "[2606:4700:0::1]:443", true),
        ];
        for (entry, wanted, allowed) in cases {
            assert_eq!(rule(entry).matches(&target(wanted).unwrap()), allowed, "{entry} {wanted}");
        }
    }

    #[test]
    fn what_is_no_rule_is_refused() {
        for bad in [
            "",
            "*",
            "*.",
            "https://crates.io",
            "crates.io/path",
            "a b",
            "crates.io:",
            "crates.io:0",
            "crates.io:99999",
            "*.10.0.0.1",
            "a..b",
            "x*.io",
        ] {
            assert!(bad.parse::<EgressRule>().is_err(), "{bad}");
        }
    }

    #[test]
    fn a_rule_reads_as_it_was_written() {
        for text in ["crates.io", "*.crates.io", "crates.io:22", "[2606:4700::1]:443"] {
            assert_eq!(rule(text).to_string(), text);
        }
    }

    #[test]
    fn only_public_addresses_are_reachable() {
        let policy = ProxyPolicy::default();
        let private = "0.0.0.0 10.1.2.3 100.64.0.1 127.0.0.1 169.254.169.254 172.16.0.1 172.31.255.255 192.168.1.1 192.0.0.192 198.18.0.1 203.0.113.80 \
             224.0.0.1 255.255.255.255 168.63.129.16 :: ::1 ::ffff:127.0.0.1 ::127.0.0.1 fe80::1 fd00:ec2::254 ff02::1 64:ff9b::a00:1 2002:7f00:1:: 2001:db8::1 2001::1";
        for address in private.split_whitespace() {
            assert!(!is_reachable(address.parse().unwrap(), &policy), "{address}");
        }
        for address in "1.1.1.1 100.63.255.255 100.128.0.1 172.15.0.1 172.32.0.1 11.0.0.1 2606:4700::1 64:ff9b::101:101 ::ffff:1.1.1.1"
            .split_whitespace()
        {
            assert!(is_reachable(address.parse().unwrap(), &policy), "{address}");
        }
    }

    #[test]
    fn an_operator_may_open_a_range() {
        let policy = ProxyPolicy { allow_private: vec!["10.1.0.0/16".parse().unwrap()] };
        assert!(is_reachable("10.1.2.3".parse().unwrap(), &policy));
        assert!(is_reachable("::ffff:10.1.2.3".parse().unwrap(), &policy));
        assert!(!is_reachable("10.2.2.3".parse().unwrap(), &policy));
    }

    proptest! {
        #[test]
        fn parsing_never_panics(text in ".{0,80}") {
            let _ = (text.parse::<EgressRule>(), target(&text));
        }

        #[test]
        fn a_parsed_rule_prints_to_itself(text in "(\\*\\.)?[a-z0-9.-]{1,30}(:[0-9]{1,5})?") {
            if let Ok(rule) = text.parse::<EgressRule>() {
                prop_assert_eq!(rule.to_string().parse::<EgressRule>().unwrap(), rule);
            }
        }
    }
}

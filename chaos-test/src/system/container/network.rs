//! The private network of one context: made when its first container is, removed after its
//! last.

use std::collections::HashMap;
use std::net::Ipv4Addr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::Duration;

use testcontainers::bollard::models::{
    EndpointIpamConfig, EndpointSettings, Ipam, IpamConfig, NetworkCreateRequest,
};

use super::engine::{Engine, Refusal};
use super::{advice, remove};
use crate::error::Error;
use crate::model::fingerprint::fingerprint;

/// How long the engine may take to make or remove a network.
pub(super) const NETWORK_LIMIT: Duration = Duration::from_secs(30);
/// How many address ranges are tried before the engine chooses one itself.
const TRIES: u32 = 16;
/// The first address of a range that a container gets; the gateway has the one before it.
const FIRST_HOST: u8 = 2;
const LAST_HOST: u8 = 254;

/// A network that exists.
#[derive(Debug)]
pub(crate) struct Network {
    pub(super) name: String,
    /// The engine's own address in it.
    gateway: Option<Ipv4Addr>,
    /// Where its addresses begin, if the range was our choice: only then can a container
    /// have an address of its own that it keeps.
    range: Option<Ipv4Addr>,
    next: AtomicU8,
}

/// A network that could not be made.
pub(crate) struct NotMade {
    pub(crate) why: Error,
    /// Whether there is certainly nothing of it.
    pub(crate) gone: bool,
}

/// Makes the network of a context.
pub(crate) async fn make_network(
    engine: &Arc<Engine>,
    name: &str,
    token: &str,
    labels: &HashMap<String, String>,
) -> Result<Network, NotMade> {
    let refusal = match Network::create(engine, name, labels).await {
        Ok(network) => return Ok(network),
        Err(refusal) => refusal,
    };
    // An answer says what there is; without one there may be something, or will be.
    let answered = !matches!(refusal, Refusal::Silent(_));
    Err(NotMade {
        gone: answered && remove::network(engine, name, token, true).await.is_ok(),
        why: advice::no_network(&refusal, name),
    })
}

impl Network {
    /// Makes a network with a range of its own.
    pub(super) async fn create(
        engine: &Arc<Engine>,
        name: &str,
        labels: &HashMap<String, String>,
    ) -> Result<Self, Refusal> {
        let taken = local_routes();
        for number in 0..TRIES {
            let range = range(name, number);
            if taken.iter().any(|route| route.overlaps(range)) {
                continue;
            }
            match Self::request(engine, name, labels, Some(range)).await {
                Ok(()) => {
                    return Ok(Self {
                        name: name.to_owned(),
                        gateway: Some(host(range, 1)),
                        range: Some(range),
                        next: AtomicU8::new(FIRST_HOST),
                    });
                }
                // Another network has it.
                Err(Refusal::Answered(why)) if why.to_lowercase().contains("overlap") => {}
                Err(refusal) => return Err(refusal),
            }
        }
        Self::request(engine, name, labels, None).await?;
        let made = engine
            .ask(
                "looking at the network",
                NETWORK_LIMIT,
                engine.docker().inspect_network(name, None),
            )
            .await?;
        let configs = made.ipam.and_then(|ipam| ipam.config).unwrap_or_default();
        let mut gateways = configs.into_iter().filter_map(|config| config.gateway);
        Ok(Self {
            name: name.to_owned(),
            gateway: gateways.find_map(|gateway| gateway.parse().ok()),
            range: None,
            next: AtomicU8::new(FIRST_HOST),
        })
    }

    async fn request(
        engine: &Arc<Engine>,
        name: &str,
        labels: &HashMap<String, String>,
        range: Option<Ipv4Addr>,
    ) -> Result<(), Refusal> {
        let request = NetworkCreateRequest {
            name: name.to_owned(),
            driver: Some("bridge".to_owned()),
            labels: Some(labels.clone()),
            ipam: range.map(|range| Ipam {
                config: Some(vec![IpamConfig {
                    subnet: Some(format!("{range}/24")),
                    gateway: Some(host(range, 1).to_string()),
                    ..IpamConfig::default()
                }]),
                ..Ipam::default()
            }),
            ..NetworkCreateRequest::default()
        };
        let made = engine.docker().create_network(request);
        engine
            .ask("making the network", NETWORK_LIMIT, made)
            .await
            .map(drop)
    }

    /// The engine's own address in it: there our links can be reached from containers.
    pub(crate) fn gateway(&self) -> Option<Ipv4Addr> {
        self.gateway
    }

    /// An endpoint for one more container, with an address that it keeps.
    pub(super) fn endpoint(&self, aliases: &[String]) -> EndpointSettings {
        let address = self.range.and_then(|range| {
            let number = self
                .next
                .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |next| {
                    (next <= LAST_HOST).then(|| next + 1)
                });
            number.ok().map(|number| host(range, number).to_string())
        });
        EndpointSettings {
            aliases: Some(aliases.to_vec()),
            ipam_config: address.map(|address| EndpointIpamConfig {
                ipv4_address: Some(address),
                ..EndpointIpamConfig::default()
            }),
            ..EndpointSettings::default()
        }
    }
}

fn host(range: Ipv4Addr, number: u8) -> Ipv4Addr {
    let [a, b, c, _] = range.octets();
    Ipv4Addr::new(a, b, c, number)
}

/// The range that is tried then: one of the 14,080 of 10.200.0.0/16 to 10.254.0.0/16, drawn
/// from the network's name, which is different for each context. Docker's own pools are
/// left alone: they are good for some 30 networks only.
fn range(name: &str, number: u32) -> Ipv4Addr {
    let drawn = fingerprint(name.bytes().chain(number.to_le_bytes()));
    let place = u32::try_from((drawn ^ (drawn >> 32)) % (55 * 256)).unwrap_or_default();
    let [_, _, second, third] = place.to_be_bytes();
    Ipv4Addr::new(10, 200 + second, third, 0)
}

/// A range of addresses that this machine already has a way to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Route {
    destination: u32,
    mask: u32,
}

impl Route {
    fn overlaps(self, range: Ipv4Addr) -> bool {
        const RANGE_MASK: u32 = 0xffff_ff00;
        let mask = self.mask & RANGE_MASK;
        // The default route covers everything and stands for nothing in particular.
        self.mask != 0 && (u32::from(range) & mask) == (self.destination & mask)
    }
}

/// Ranges of other networks, for example of a VPN (proc(5), `/proc/net/route`).
fn local_routes() -> Vec<Route> {
    let table = std::fs::read_to_string("/proc/net/route").unwrap_or_default();
    table.lines().skip(1).filter_map(route).collect()
}

fn route(line: &str) -> Option<Route> {
    let fields: Vec<&str> = line.split_whitespace().collect();
    // Written as the machine stores them.
    let number = |field: &str| {
        let value = u32::from_str_radix(field, 16).ok()?;
        Some(u32::from_be_bytes(value.to_ne_bytes()))
    };
    Some(Route {
        destination: number(fields.get(1)?)?,
        mask: number(fields.get(7)?)?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_are_drawn_from_the_names_and_stay_where_they_belong() {
        let mut seen = std::collections::BTreeSet::new();
        for context in 0..500 {
            let range = range(&format!("chaos-17-4-{context}"), 0);
            let [a, b, _, d] = range.octets();
            assert!(a == 10 && (200..255).contains(&b) && d == 0, "{range}");
            seen.insert(range);
        }
        assert!(seen.len() > 450, "{}", seen.len());
        assert_ne!(range("a", 0), range("a", 1));
    }

    #[test]
    fn a_range_that_leads_elsewhere_is_seen() {
        let vpn = route("tun0 00D00A0A 00000000 0001 0 0 0 00FFFFFF 0 0 0").unwrap();
        let expected = Route {
            destination: u32::from_be_bytes([0x0a, 0x0a, 0xd0, 0]),
            mask: 0xffff_ff00,
        };
        if cfg!(target_endian = "little") {
            assert_eq!(vpn, expected);
        }
        let wide = Route {
            destination: u32::from(Ipv4Addr::new(10, 0, 0, 0)),
            mask: 0xff00_0000,
        };
        assert!(wide.overlaps(Ipv4Addr::new(10, 210, 3, 0)));
        let narrow = Route {
            destination: u32::from(Ipv4Addr::new(10, 210, 3, 64)),
            mask: 0xffff_fff0,
        };
        assert!(narrow.overlaps(Ipv4Addr::new(10, 210, 3, 0)));
        assert!(!narrow.overlaps(Ipv4Addr::new(10, 210, 4, 0)));
        let default = Route {
            destination: 0,
            mask: 0,
        };
        assert!(!default.overlaps(Ipv4Addr::new(10, 210, 3, 0)));
    }
}

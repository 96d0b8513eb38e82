//! Who listens on which TCP port, read from `/proc` (proc(5)).

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use crate::system::aside::aside;
use crate::system::identity;

/// The state of a socket that listens, as the kernel writes it.
const LISTENS: &str = "0A";

/// A socket that listens.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Listening {
    address: SocketAddr,
    inode: u64,
}

/// The processes that have a socket which accepts connections at this address; `None` where
/// there is no such socket. It may be there without a process that we can see.
pub(crate) fn listeners(address: SocketAddr) -> Option<Vec<u32>> {
    aside(|| look_for_listeners(address))
}

fn look_for_listeners(address: SocketAddr) -> Option<Vec<u32>> {
    let sockets = all();
    let inodes: BTreeSet<u64> = sockets
        .iter()
        .filter(|socket| accepts(socket.address, address))
        .map(|socket| socket.inode)
        .collect();
    if inodes.is_empty() {
        return None;
    }
    let holds = |pid: &u32| inodes_of(*pid).iter().any(|inode| inodes.contains(inode));
    Some(identity::all().into_iter().filter(holds).collect())
}

/// Where some processes listen, one address for each port.
pub(crate) fn ports_of(pids: &[u32]) -> Vec<SocketAddr> {
    aside(|| look_for_ports(pids))
}

fn look_for_ports(pids: &[u32]) -> Vec<SocketAddr> {
    let inodes: BTreeSet<u64> = pids.iter().flat_map(|pid| inodes_of(*pid)).collect();
    let mut found: Vec<SocketAddr> = Vec::new();
    for socket in all() {
        let address = reachable(socket.address);
        let known = found.iter().any(|other| other.port() == address.port());
        if inodes.contains(&socket.inode) && !known {
            found.push(address);
        }
    }
    found.sort_by_key(SocketAddr::port);
    found
}

/// Where a client of this machine reaches a listener.
fn reachable(listening: SocketAddr) -> SocketAddr {
    let ip = match listening.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        // It accepts IPv4 nearly always; `::1` is where it certainly is.
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip => ip.to_canonical(),
    };
    SocketAddr::new(ip, listening.port())
}

/// Whether what listens there accepts connections to an address.
fn accepts(listening: SocketAddr, address: SocketAddr) -> bool {
    let (own, asked) = (listening.ip().to_canonical(), address.ip().to_canonical());
    let wide = match own {
        IpAddr::V4(ip) => ip.is_unspecified() && asked.is_ipv4(),
        IpAddr::V6(ip) => ip.is_unspecified(),
    };
    listening.port() == address.port() && (wide || own == asked)
}

fn all() -> Vec<Listening> {
    ["/proc/net/tcp", "/proc/net/tcp6"]
        .into_iter()
        .flat_map(|path| parse(&std::fs::read_to_string(path).unwrap_or_default()))
        .collect()
}

fn parse(table: &str) -> Vec<Listening> {
    let line = |line: &str| {
        let fields: Vec<&str> = line.split_whitespace().collect();
        if *fields.get(3)? != LISTENS {
            return None;
        }
        Some(Listening {
            address: parse_address(fields.get(1)?)?,
            inode: fields.get(9)?.parse().ok()?,
        })
    };
    table.lines().skip(1).filter_map(line).collect()
}

/// An address as the kernel writes it: words of 32 bits in the machine's own order.
fn parse_address(text: &str) -> Option<SocketAddr> {
    let (ip, port) = text.split_once(':')?;
    let port = u16::from_str_radix(port, 16).ok()?;
    let words: Vec<[u8; 4]> = ip
        .as_bytes()
        .chunks(8)
        .map(|word| {
            let word = std::str::from_utf8(word).ok()?;
            Some(u32::from_str_radix(word, 16).ok()?.to_ne_bytes())
        })
        .collect::<Option<_>>()?;
    let ip = match words.as_slice() {
        [word] => IpAddr::from(*word),
        [_, _, _, _] => IpAddr::from(<[u8; 16]>::try_from(words.concat()).ok()?),
        _ => return None,
    };
    Some(SocketAddr::new(ip, port))
}

/// The sockets that a process has open; none where we may not look.
fn inodes_of(pid: u32) -> Vec<u64> {
    let open = std::fs::read_dir(format!("/proc/{pid}/fd"));
    let open = open.into_iter().flatten().flatten();
    open.filter_map(|entry| {
        let target = std::fs::read_link(entry.path()).ok()?;
        let inode = target.to_str()?.strip_prefix("socket:[")?;
        inode.strip_suffix(']')?.parse().ok()
    })
    .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::TcpListener;

    #[test]
    fn what_listens_is_read_and_nothing_else() {
        let table = "  sl  local_address rem_address   st tx rx tr tm retrnsmt uid timeout inode\n\
             0: 0100007F:1538 00000000:0000 0A 0:0 00:0 0 0 0 4711 1\n\
             1: 0100007F:1538 0100007F:9C40 01 0:0 00:0 0 0 0 4712 1\n";
        if cfg!(target_endian = "little") {
            let expected = Listening {
                address: "127.0.0.1:5432".parse().unwrap(),
                inode: 4711,
            };
            assert_eq!(parse(table), [expected]);
            let six = parse_address("00000000000000000000000001000000:0050").unwrap();
            assert_eq!(six, "[::1]:80".parse().unwrap());
        }
    }

    #[test]
    fn a_wide_listener_accepts_what_a_narrow_one_does_not() {
        let accepts = |listening: &str, asked: &str| {
            accepts(listening.parse().unwrap(), asked.parse().unwrap())
        };
        assert!(accepts("0.0.0.0:80", "127.0.0.1:80"));
        assert!(accepts("[::]:80", "127.0.0.1:80"));
        assert!(accepts("127.0.0.1:80", "127.0.0.1:80"));
        assert!(accepts("[::ffff:127.0.0.1]:80", "127.0.0.1:80"));
        assert!(!accepts("127.0.0.1:80", "127.0.0.1:81"));
        assert!(!accepts("127.0.0.2:80", "127.0.0.1:80"));
        assert!(!accepts("0.0.0.0:80", "[::1]:80"));
    }

    #[test]
    fn we_are_found_by_our_own_listener() {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let address = listener.local_addr().unwrap();
        let own = std::process::id();
        assert_eq!(listeners(address), Some(vec![own]));
        assert!(ports_of(&[own]).contains(&address));
        drop(listener);
        // A process that another test is just starting has it until it executes its program.
        let since = std::time::Instant::now();
        while listeners(address).is_some() {
            assert!(since.elapsed().as_secs() < 10, "it still listens");
            std::thread::sleep(std::time::Duration::from_millis(1));
        }
    }
}

//! Ports that are kept for a service for as long as its context lives.

use std::io;
use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4};

use socket2::{Domain, Socket, Type};

/// A port of 127.0.0.1 that nobody else is given.
///
/// The socket is bound and never listens. With SO_REUSEADDR on both sides the kernel lets
/// the service's own program bind and listen beside it, gives the port to no other
/// program that asks for a free one, and refuses connections while the service is down
/// (socket(7); `inet_csk_get_port` in the kernel).
#[derive(Debug)]
pub(crate) struct ReservedPort {
    socket: Option<Socket>,
    port: u16,
}

impl ReservedPort {
    /// Reserves any free port (0) or one in particular.
    pub(crate) fn new(port: u16) -> io::Result<Self> {
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None)?;
        socket.set_reuse_address(true)?;
        socket.bind(&SocketAddrV4::new(Ipv4Addr::LOCALHOST, port).into())?;
        let bound = socket.local_addr()?.as_socket();
        let bound =
            bound.ok_or_else(|| io::Error::other("the kernel named no internet address"))?;
        Ok(Self {
            socket: Some(socket),
            port: bound.port(),
        })
    }

    /// Lets it go, for a program that cannot listen beside us; the number stays the same.
    pub(crate) fn release(&mut self) {
        self.socket = None;
    }

    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    pub(crate) fn address(&self) -> SocketAddr {
        SocketAddr::from((Ipv4Addr::LOCALHOST, self.port))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::{TcpListener, TcpStream};

    #[test]
    fn a_server_can_listen_on_a_reserved_port_again_and_again() {
        let reserved = ReservedPort::new(0).unwrap();
        for _ in 0..3 {
            let refused = TcpStream::connect(reserved.address()).unwrap_err();
            assert_eq!(refused.kind(), io::ErrorKind::ConnectionRefused);
            let listener = TcpListener::bind(reserved.address()).unwrap();
            let client = TcpStream::connect(reserved.address()).unwrap();
            let (server, _) = listener.accept().unwrap();
            drop((server, client, listener));
        }
    }

    #[test]
    fn nobody_is_given_a_reserved_port() {
        let reserved = ReservedPort::new(0).unwrap();
        let taken: Vec<_> = (0..2000)
            .map_while(|_| TcpListener::bind("127.0.0.1:0").ok())
            .collect();
        assert!(taken.len() > 500);
        for listener in &taken {
            assert_ne!(listener.local_addr().unwrap().port(), reserved.port());
        }
    }

    #[test]
    fn a_port_in_use_cannot_be_reserved() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let error = ReservedPort::new(port).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::AddrInUse);
    }
}

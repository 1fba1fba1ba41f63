//! One server on every address of the test's network: a site on the public ones, the canary on all others.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::{Arc, Mutex};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpSocket, TcpStream};

/// Ports that a URL may name, and some that attackers like. 8443 is left to the host under test.
const PORTS: &[u16] = &[22, 25, 80, 443, 2375, 6379, 8080];

/// The site's addresses; in this network they are this machine's, like all others.
pub(crate) const PUBLIC_V4: Ipv4Addr = Ipv4Addr::new(93, 184, 215, 14);
pub(crate) const PUBLIC_V6: Ipv6Addr = Ipv6Addr::new(
    0x2606, 0x2800, 0x021f, 0xcb07, 0x6820, 0x80da, 0xaf6b, 0x8b2c,
);

/// What came in.
#[derive(Default)]
struct Seen {
    /// Connections to addresses that nobody may reach.
    canary: Vec<String>,
    /// Requests to the site.
    site: Vec<String>,
}

/// The running server; it ends with the process.
#[derive(Clone)]
pub(crate) struct Site {
    seen: Arc<Mutex<Seen>>,
    /// Where `/to/N` leads.
    targets: Arc<[String]>,
}

impl Site {
    pub(crate) async fn start(targets: Vec<String>) -> Self {
        let site = Self {
            seen: Arc::default(),
            targets: targets.into(),
        };
        for port in PORTS {
            for address in [
                SocketAddr::from((Ipv4Addr::UNSPECIFIED, *port)),
                SocketAddr::from((Ipv6Addr::UNSPECIFIED, *port)),
            ] {
                tokio::spawn(site.clone().accept(listen(address)));
            }
        }
        site
    }

    /// Takes what the canary saw so far.
    pub(crate) fn take_hits(&self) -> Vec<String> {
        std::mem::take(&mut self.seen.lock().unwrap().canary)
    }

    /// Requests that the site answered.
    pub(crate) fn requests(&self) -> Vec<String> {
        self.seen.lock().unwrap().site.clone()
    }

    async fn accept(self, listener: TcpListener) {
        while let Ok((stream, _)) = listener.accept().await {
            let to = stream.local_addr().unwrap();
            let site = self.clone();
            if is_public(to.ip().to_canonical()) {
                tokio::spawn(site.answer(stream));
            } else {
                // A connection is enough: nobody has to send anything.
                tokio::spawn(async move {
                    site.seen.lock().unwrap().canary.push(to.to_string());
                    site.answer(stream).await;
                });
            }
        }
    }

    async fn answer(self, mut stream: TcpStream) {
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") && head.len() < 16_384 {
            match stream.read_u8().await {
                Ok(byte) => head.push(byte),
                Err(_) => return,
            }
        }
        let head = String::from_utf8_lossy(&head).into_owned();
        let mut words = head.split(' ');
        let (method, path) = (
            words.next().unwrap_or_default().to_owned(),
            words.next().unwrap_or_default().to_owned(),
        );
        let host = head
            .lines()
            .find_map(|line| {
                line.to_ascii_lowercase()
                    .strip_prefix("host:")
                    .map(str::to_owned)
            })
            .unwrap_or_default()
            .trim()
            .to_owned();
        self.seen
            .lock()
            .unwrap()
            .site
            .push(format!("{method} {host}{path}"));
        let _ = stream.write_all(&self.response(&host, &path)).await;
        let _ = stream.shutdown().await;
    }

    fn response(&self, host: &str, path: &str) -> Vec<u8> {
        let numbered = |text: &str, prefix: &str| text.strip_prefix(prefix)?.parse().ok();
        let target = |number: usize| self.targets.get(number).cloned().unwrap_or_default();
        let robots = host
            .strip_prefix("robots-")
            .and_then(|rest| numbered(rest.split('.').next()?, ""));
        let (status, extra, body) = match (path, robots) {
            ("/robots.txt", Some(number)) => (
                302,
                format!("location: {}\r\n", target(number)),
                String::new(),
            ),
            ("/robots.txt", None) => (404, String::new(), String::new()),
            ("/lures", _) => (200, self.lure_headers(), self.lure_page()),
            _ => match numbered(path, "/to/") {
                Some(number) => (
                    308,
                    format!("location: {}\r\n", target(number)),
                    String::new(),
                ),
                None => (200, String::new(), "<p>A page of the site.".to_owned()),
            },
        };
        format!(
            "HTTP/1.1 {status} X\r\ncontent-type: text/html; charset=utf-8\r\nconnection: close\r\ncontent-length: {}\r\n{extra}\r\n{body}",
            body.len()
        )
        .into_bytes()
    }

    /// Everything that makes a browser ask for more; a scraper asks for nothing, and is not sent on to an address like that either.
    fn lure_headers(&self) -> String {
        "refresh: 0; url=http://127.0.0.1/\r\nlink: <http://127.0.0.1/a.css>; rel=preload\r\ncontent-location: http://127.0.0.1/\r\nalt-svc: h2=\"127.0.0.1:443\"\r\n".to_owned()
    }

    fn lure_page(&self) -> String {
        let links: String = self
            .targets
            .iter()
            .map(|url| url.replace(['"', '<'], ""))
            .map(|url| {
                format!(
                    "<img src=\"{url}\"><a href=\"{url}\">x</a><link rel=prefetch href=\"{url}\">"
                )
            })
            .collect();
        format!(
            "<meta http-equiv=refresh content='0;url=http://127.0.0.1/'><base href='http://127.0.0.1/'>{links}<p>A page."
        )
    }
}

fn is_public(ip: IpAddr) -> bool {
    ip == IpAddr::V4(PUBLIC_V4) || ip == IpAddr::V6(PUBLIC_V6)
}

/// On both families apart, so that an address is seen as it was dialled.
fn listen(address: SocketAddr) -> TcpListener {
    let socket = if address.is_ipv4() {
        TcpSocket::new_v4()
    } else {
        TcpSocket::new_v6()
    }
    .unwrap();
    if address.is_ipv6() {
        only_v6(&socket);
    }
    socket.set_reuseaddr(true).unwrap();
    socket.bind(address).unwrap();
    socket.listen(1_024).unwrap()
}

#[allow(
    unsafe_code,
    reason = "tokio's socket has no IPV6_V6ONLY; setsockopt(2) only reads the one integer"
)]
fn only_v6(socket: &TcpSocket) {
    use std::os::fd::AsRawFd as _;
    let yes: libc::c_int = 1;
    // SAFETY: the pointer is to a live integer of the length that is given.
    let outcome = unsafe {
        libc::setsockopt(
            socket.as_raw_fd(),
            libc::IPPROTO_IPV6,
            libc::IPV6_V6ONLY,
            (&raw const yes).cast(),
            size_of::<libc::c_int>() as libc::socklen_t,
        )
    };
    assert_eq!(outcome, 0, "IPV6_V6ONLY");
}

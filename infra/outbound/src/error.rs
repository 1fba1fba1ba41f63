//! What can go wrong with a request that leaves the host.

/// Why a request has no response, or why a body ended early. Each variant is one `wasi:http` error code.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum OutboundError {
    /// The class may not dial an address that the host resolves to (`destination-IP-prohibited`).
    #[error("the destination address is not allowed")]
    DestinationIpProhibited,
    /// The name does not resolve (`DNS-error`).
    #[error("the host name does not resolve: {0}")]
    DnsError(String),
    /// Nobody listens there, or the host is unreachable (`connection-refused`).
    #[error("connection refused: {0}")]
    ConnectionRefused(String),
    /// No connection within `Timeouts::connect` (`connection-timeout`).
    #[error("the connection was not open in time")]
    ConnectionTimeout,
    /// No response head within `Timeouts::first_byte`, or a body stalled for longer than
    /// `Timeouts::between_bytes` (`connection-read-timeout`).
    #[error("the peer sent nothing in time")]
    ConnectionReadTimeout,
    /// The peer closed the connection in the middle (`connection-terminated`).
    #[error("the connection ended in the middle: {0}")]
    ConnectionTerminated(String),
    /// TLS failed other than by its certificate (`TLS-protocol-error`).
    #[error("TLS failed: {0}")]
    TlsProtocolError(String),
    /// The peer's certificate is not trusted for this name (`TLS-certificate-error`).
    #[error("the peer's certificate is not trusted: {0}")]
    TlsCertificateError(String),
    /// The peer does not speak HTTP as it should (`HTTP-protocol-error`).
    #[error("the peer broke the HTTP protocol: {0}")]
    HttpProtocolError(String),
    /// The response head is larger than the limit in bytes or in fields (`HTTP-response-header-section-size`).
    #[error("the response head is too large")]
    ResponseHeadTooLarge,
    /// The response body comes in so many small pieces that it is none (`HTTP-response-body-size`).
    #[error("the response body comes in pieces that are too small")]
    ResponseBodyInCrumbs,
    /// The limit of connections was reached and none came free in time (`connection-limit-reached`).
    #[error("too many connections")]
    ConnectionLimitReached,
    /// The request itself is not one that this client sends: no host, another scheme, userinfo (`HTTP-request-denied`).
    #[error("the request was refused: {0}")]
    HttpRequestDenied(String),
    /// The caller's own request body failed (`internal-error`).
    #[error("the request body failed: {0}")]
    RequestBody(String),
}

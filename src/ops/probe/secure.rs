//! TLS on a connection. Trusted are the authorities that the system trusts, or those of the file that `SSL_CERT_FILE` names.
//!
//! HTTP/1.1 alone is offered (RFC 7301), since heads inside HTTP/2 are not looked at; who ends TLS speaks HTTP/1.1 to what is behind.

use std::io;
use std::sync::Arc;

use rustls::crypto::ring::default_provider;
use rustls::pki_types::ServerName;
use rustls::{
    AlertDescription, CertificateError, ClientConfig, ClientConnection, Error, PeerMisbehaved, RootCertStore,
    StreamOwned,
};

use crate::net::address::Address;
use crate::ops::client::Connection;

/// A connection with TLS on it.
pub(super) type Secure = StreamOwned<ClientConnection, Connection>;

/// What is the same for each connection to a server.
pub(super) struct Tls {
    config: Arc<ClientConfig>,
    name: ServerName<'static>,
}

impl Tls {
    /// For connections to the server of that address.
    pub(super) fn to(address: &Address) -> Result<Self, String> {
        let Address::Tcp { host, .. } = address else { return Err("there is no TLS on a socket's path".into()) };
        let name = ServerName::try_from(host.to_string()).map_err(|error| format!("{host:?}: {error}"))?;
        let found = rustls_native_certs::load_native_certs();
        let mut roots = RootCertStore::empty();
        if roots.add_parsable_certificates(found.certs).0 == 0 {
            let why = found.errors.first().map_or(String::new(), |error| format!(" ({error})"));
            return Err(format!(
                "no CA certificates were found{why}; set SSL_CERT_FILE to a file that has them, such as /etc/ssl/certs/ca-certificates.crt"
            ));
        }
        let config = ClientConfig::builder_with_provider(Arc::new(default_provider()))
            .with_safe_default_protocol_versions()
            .map_err(|error| error.to_string())?;
        let mut config = config.with_root_certificates(roots).with_no_client_auth();
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(Self { config: Arc::new(config), name })
    }

    /// Shakes hands.
    pub(super) fn on(&self, mut connection: Connection) -> io::Result<Secure> {
        let mut session =
            ClientConnection::new(Arc::clone(&self.config), self.name.clone()).map_err(io::Error::other)?;
        while session.is_handshaking() {
            session.complete_io(&mut connection).map_err(told)?;
        }
        Ok(StreamOwned::new(session, connection))
    }
}

/// What went wrong, in words for whoever must fix it.
fn told(error: io::Error) -> io::Error {
    let Some(fault) = error.get_ref().and_then(|inner| inner.downcast_ref::<Error>()) else {
        return if error.kind() == io::ErrorKind::UnexpectedEof {
            io::Error::new(error.kind(), "it closed within the TLS handshake")
        } else {
            error
        };
    };
    let has_no_http1 = [
        Error::AlertReceived(AlertDescription::NoApplicationProtocol),
        Error::PeerMisbehaved(PeerMisbehaved::SelectedUnofferedApplicationProtocol),
    ];
    io::Error::other(if *fault == Error::InvalidCertificate(CertificateError::UnknownIssuer) {
        "its certificate was issued by an authority that this machine does not trust; set SSL_CERT_FILE to a file with the right ones".to_owned()
    } else if matches!(
        fault,
        Error::InvalidCertificate(CertificateError::Expired | CertificateError::ExpiredContext { .. })
    ) {
        "its certificate has expired, or the clock of this machine is wrong".to_owned()
    } else if matches!(fault, Error::InvalidCertificate(CertificateError::Other(other)) if format!("{other:?}").contains("CaUsedAsEndEntity"))
    {
        "its certificate is that of an authority, as of openssl req -x509; one for a server has CA:FALSE".to_owned()
    } else if matches!(fault, Error::InvalidMessage(_)) {
        "it does not speak TLS; did you mean http://?".to_owned()
    } else if has_no_http1.contains(fault) {
        "it speaks no HTTP/1.1 over TLS, but HTTP/2 or another protocol, in which heads are not looked at".to_owned()
    } else {
        format!("TLS: {fault}")
    })
}

//! TLS for checks: what a server shows of itself is taken as it is, unless an authority was named.

use std::net::IpAddr;
use std::sync::Arc;

use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, ring};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::{CertificateError, ClientConfig, DigitallySignedStruct, Error, RootCertStore, SignatureScheme};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::socket::Connection;
use crate::declared::Tls;
use crate::judge::Failure;

/// Opens TLS within connections, or says why it cannot.
#[derive(Debug, Clone)]
pub(super) struct Connector(Result<Arc<ClientConfig>, String>);

impl Connector {
    pub(super) fn new(declared: &Tls) -> Self {
        Self(config(declared).map(Arc::new).map_err(|error| format!("SSL: {error}")))
    }

    /// Opens TLS; the server is told `name`, or none when it is an address.
    pub(super) async fn open(
        &self,
        stream: Connection,
        name: ServerName<'static>,
    ) -> Result<TlsStream<Connection>, Failure> {
        let config = self.0.as_ref().map_err(|error| Failure::Unusable(error.clone()))?;
        let opened = TlsConnector::from(Arc::clone(config)).connect(name, stream).await;
        opened.map_err(|error| match error.get_ref().and_then(|inner| inner.downcast_ref::<Error>()) {
            Some(error) => Failure::Tls(error.to_string()),
            None => super::socket::failure(&error),
        })
    }
}

/// The name a server is told, where it is to be told one.
pub(super) fn server_name(name: Option<&str>, address: IpAddr) -> Result<ServerName<'static>, Failure> {
    match name {
        None => Ok(address.into()),
        Some(name) => ServerName::try_from(name.to_owned())
            .map_err(|_| Failure::Unusable(format!("`{name}` is no name of a server"))),
    }
}

fn config(declared: &Tls) -> Result<ClientConfig, Box<dyn std::error::Error>> {
    let provider = Arc::new(ring::default_provider());
    let builder =
        ClientConfig::builder_with_provider(Arc::clone(&provider)).with_safe_default_protocol_versions()?;
    let verifier: Arc<dyn ServerCertVerifier> = match &declared.ca {
        None => Arc::new(Anyone(provider)),
        Some(path) => {
            let mut roots = RootCertStore::empty();
            for certificate in CertificateDer::pem_file_iter(path)? {
                roots.add(certificate?)?;
            }
            let known = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider).build()?;
            Arc::new(Known(known))
        }
    };
    let builder = builder.dangerous().with_custom_certificate_verifier(verifier);
    Ok(match (&declared.certificate, &declared.key) {
        (Some(certificate), Some(key)) => {
            let chain = CertificateDer::pem_file_iter(certificate)?.collect::<Result<Vec<_>, _>>()?;
            builder.with_client_auth_cert(chain, PrivateKeyDer::from_pem_file(key)?)?
        }
        _ => builder.with_no_client_auth(),
    })
}

/// Takes any server for what it says it is: a check asks whether it answers.
#[derive(Debug)]
struct Anyone(Arc<CryptoProvider>);

impl ServerCertVerifier for Anyone {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}

/// Takes a server whose certificate comes from a known authority, whatever name is in it: it is asked by its address.
#[derive(Debug)]
struct Known(Arc<WebPkiServerVerifier>);

impl ServerCertVerifier for Known {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        // The chain and its dates are looked at before the name.
        match self.0.verify_server_cert(end_entity, intermediates, name, ocsp, now) {
            Err(Error::InvalidCertificate(
                CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. },
            )) => Ok(ServerCertVerified::assertion()),
            other => other,
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.0.verify_tls12_signature(message, certificate, signature)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.0.verify_tls13_signature(message, certificate, signature)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.supported_verify_schemes()
    }
}

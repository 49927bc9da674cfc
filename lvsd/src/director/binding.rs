//! What a connection is bound to: its destination, and how packets were to reach it when it began.

use std::sync::Arc;

use super::ftp::Session;
use crate::destination::{Counted, Destination, Lease};
use crate::message::ForwardMethod;

/// How a connection's packets are forwarded. Fixed when the connection begins; an edited server's new method is
/// for new connections (`ip_vs_bind_dest`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Method {
    /// NAT, both ways.
    Masquerade,
    /// Only the link-layer addresses change.
    DirectRoute,
    /// Within an outer packet.
    Tunnel,
    /// To no server: the packet goes where it was going (`cache_bypass`).
    Bypass,
}

impl From<ForwardMethod> for Method {
    fn from(method: ForwardMethod) -> Self {
        match method {
            ForwardMethod::Masquerade => Self::Masquerade,
            ForwardMethod::DirectRoute => Self::DirectRoute,
            ForwardMethod::Tunnel(_) => Self::Tunnel,
        }
    }
}

/// What a connection is to FTP.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// Nothing.
    None,
    /// A control connection: what is said there is read.
    Control,
    /// A data connection.
    Data,
    /// A data connection whose client's port is not known yet (the kernel's `NO_CPORT`).
    Unclaimed,
}

/// A connection's bond to its destination; ending the connection gives the counts back.
#[derive(Debug)]
pub struct Binding {
    /// With the method, the role, and the stamp of the flow cache.
    lease: Lease<(Method, Role, u8)>,
    /// What FTP knows, of a control connection once it spoke of a data connection, and of a data connection.
    session: Option<Arc<Session>>,
}

impl Binding {
    /// Binds a new connection, inactive as it begins.
    pub fn new(destination: Arc<Destination>, method: Method) -> Self {
        Self { lease: Lease::noted(destination, Counted::Inactive, (method, Role::None, 0)), session: None }
    }

    /// The bond of a control connection of FTP.
    pub(super) const fn of_control(mut self) -> Self {
        self.lease.note_mut().1 = Role::Control;
        self
    }

    /// The bond of a data connection of a session.
    pub(super) fn with_session(mut self, role: Role, session: Arc<Session>) -> Self {
        session.begin(role == Role::Unclaimed);
        self.lease.note_mut().1 = role;
        self.session = Some(session);
        self
    }

    /// Binds a new connection that has no server to `nobody`, who belongs to no service.
    pub(super) fn bypass(nobody: &Arc<Destination>) -> Self {
        Self::new(Arc::clone(nobody), Method::Bypass)
    }

    /// The destination.
    pub const fn destination(&self) -> &Arc<Destination> {
        self.lease.destination()
    }

    /// How packets reach it.
    pub const fn method(&self) -> Method {
        self.lease.note().0
    }

    /// What the connection is to FTP.
    pub const fn role(&self) -> Role {
        self.lease.note().1
    }

    /// True while other connections hang on this one (the kernel's `n_control`).
    pub(super) fn is_held(&self) -> bool {
        self.role() == Role::Control && self.session.as_ref().is_some_and(|session| session.has_data())
    }

    /// True for a connection that hangs on another.
    pub(super) const fn is_controlled(&self) -> bool {
        matches!(self.role(), Role::Data | Role::Unclaimed)
    }

    /// What FTP knows of a control connection's session.
    pub(super) const fn session(&self) -> Option<&Arc<Session>> {
        self.session.as_ref()
    }

    /// The same, begun with `new` if there was none.
    pub(super) fn session_or(&mut self, new: impl FnOnce() -> Arc<Session>) -> &Arc<Session> {
        self.session.get_or_insert_with(new)
    }

    /// The data connection has its client.
    pub(super) fn claim(&mut self) {
        if let (Role::Unclaimed, Some(session)) = (self.role(), &self.session) {
            session.claimed();
            self.lease.note_mut().1 = Role::Data;
        }
    }

    /// The round in which the connection was last noted for the flow cache; 0 for none.
    pub const fn stamp(&self) -> u8 {
        self.lease.note().2
    }

    /// Stamps the connection as noted.
    pub const fn set_stamp(&mut self, stamp: u8) {
        self.lease.note_mut().2 = stamp;
    }

    /// Moves the connection between the destination's active and inactive count.
    pub fn set_active(&mut self, active: bool) {
        self.lease.set_active(active);
    }
}

impl Drop for Binding {
    fn drop(&mut self) {
        if let (true, Some(session)) = (self.is_controlled(), &self.session) {
            session.end(self.role() == Role::Unclaimed);
        }
    }
}

//! Requests from the control socket and from the checks, answered one after another.

use parking_lot::Mutex;

use super::Control;
use crate::health;
use crate::message::{Effect, Request, Response, VrrpListing};
use crate::run::ledger::Change;

impl Control {
    /// Answers a request from the control socket.
    pub(in crate::run) fn answer(&mut self, request: Request) -> Response {
        if let Request::Health = request {
            let virtual_servers = self.health.as_ref().map(health::Handle::listing);
            return Response::Health { virtual_servers: virtual_servers.unwrap_or_default() };
        }
        if let Request::Stop(how) = request {
            self.stop = Some(how);
            return Response::Done;
        }
        let effect = request.effect();
        if let Request::Sysctls { .. } = request {
            self.look_at_memory();
        }
        if matches!(request, Request::Vrrp) {
            let listing = self.vrrp.as_ref().map(|listing| VrrpListing::clone(&listing.load()));
            return Response::Vrrp(listing.unwrap_or_default());
        }
        let noted = self.ledger.is_some().then(|| request.clone());
        let mut response = self.registry.apply(request, self.clock.now());
        if let Some(request) =
            noted.filter(|_| !matches!(response, Response::Refused { .. } | Response::Malformed { .. }))
        {
            self.note(request);
        }
        if matches!(effect, Effect::Services | Effect::Marks)
            && let Err(error) = self.claim()
        {
            tracing::error!(%error, "the XDP program was not told of a change; it will be again");
        }
        if let Response::Status(status) = &mut response {
            status.pid = std::process::id();
            status.uptime = self.clock.now().since_zero().as_secs();
            status.interfaces.clone_from(&self.interfaces);
            if let Some(cache) = &mut status.cache {
                cache.kept.clone_from(&self.kept);
            }
        }
        response
    }

    /// Writes a request down that was carried out, if it changed something that is to last.
    fn note(&mut self, request: Request) {
        let Some(ledger) = &mut self.ledger else { return };
        match request.effect() {
            Effect::Services | Effect::Settings => ledger.note(Change::Request(request)),
            // The list that came of it says more than the change.
            Effect::Marks => ledger.note(Change::Marks(self.registry.marks().rules().to_vec())),
            Effect::Nothing => {}
        }
    }

    /// Carries out several changes at once.
    pub(in crate::run) fn answer_all(&mut self, requests: Vec<Request>) -> Vec<Response> {
        let answers = self.registry.apply_all(requests, self.clock.now());
        if let Err(error) = self.claim() {
            tracing::error!(%error, "the XDP program was not told of a change; it will be again");
        }
        answers
    }
}

impl health::Services for Mutex<Control> {
    fn with(&self, work: &mut dyn FnMut(&mut health::Apply<'_>)) {
        let mut control = self.lock();
        work(&mut |requests| control.answer_all(requests));
    }
}

//! What can be found wrong with a configuration only where it is to run: looked at before anything is changed.

use lvs_forward::io::xdp::Claims;

use super::control::Control;
use crate::config::Config;
use crate::health;
use crate::mark::Marks;
use crate::message::{RealServer, Refusal};
use crate::services::{Registry, Sysctls};

impl Control {
    /// Says what of a configuration could not be carried out here, of all that is not done at once: checks add their
    /// servers later, and there nobody could be told.
    ///
    /// # Errors
    /// What is refused and why; nothing was changed.
    pub(super) fn vet(&self, config: &Config) -> Result<(), (String, String)> {
        let refused = |what: &str, error: &dyn ToString| (what.to_owned(), error.to_string());
        Marks::new(config.marks.clone(), self.served())
            .map_err(|error| refused("the rules for marks", &error))?;
        if let Some(timeouts) = config.timeouts {
            Registry::check_timeouts(timeouts).map_err(|error| refused("timeouts", &error))?;
        }
        let mut sysctls = Sysctls::default();
        for (name, value) in &config.sysctls {
            sysctls.set_text(name, value).map_err(|error| refused(&format!("vs.{name}"), &error))?;
        }
        self.vet_servers(config).map_err(|(server, service, error)| {
            (format!("{}:{} of {service}", server.rip, server.port), error.to_string())
        })?;
        let services = config.services.iter().map(|service| (&service.service, service.servers.iter()));
        if self.claimed().with(services, &config.marks).fits() {
            return Ok(());
        }
        let most = Claims::MOST_ENDPOINTS;
        let why = format!(
            "more than {most} services and servers together, those removed in the last 15 minutes included"
        );
        Err(("the XDP program".to_owned(), why))
    }

    fn vet_servers(&self, config: &Config) -> Result<(), (RealServer, String, Refusal)> {
        let registry = self.registry();
        let mut all = config
            .services
            .iter()
            .flat_map(|service| service.servers.iter().map(move |server| (service.service.id, *server)));
        let mut sorry = config
            .checked
            .iter()
            .flat_map(|checked| checked.services.iter().zip(checked.sorry).map(|(id, sorry)| (*id, sorry)));
        let wrong = all.by_ref().chain(sorry.by_ref()).find_map(|(id, server)| {
            let error = registry.check_server(id, &server).err()?;
            Some((server, health::name(&id), error))
        });
        wrong.map_or(Ok(()), Err)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::super::clock::Clock;
    use super::*;
    use crate::config::{CheckedConfig, ServiceConfig};
    use crate::director::Plane;
    use crate::keepalived;
    use crate::message::{Request, ServiceId, Timeouts, Transport};
    use crate::resolve::Fib;

    fn control() -> Control {
        let plane = Arc::new(Plane::new(1, 10, 1));
        let mut registry = Registry::new(plane, 1);
        registry.set_fib(Fib::default());
        Control::new(registry, Clock::start(), &Config::default()).unwrap()
    }

    fn config(text: &str) -> Config {
        let declared = keepalived::parse("test.conf", text, "host").unwrap().declared;
        Config { services: declared.services, checked: declared.checked, ..Config::default() }
    }

    fn one(rip: &str) -> Config {
        config(&format!(
            "virtual_server 192.0.2.1 80 {{\n protocol TCP\n real_server 10.0.0.1 80 {{\n }}\n}}\n\
             virtual_server 192.0.2.2 80 {{\n protocol TCP\n real_server {rip} 80 {{\n TCP_CHECK {{\n }}\n }}\n}}\n"
        ))
    }

    fn told(control: &Control, config: &Config) -> String {
        control.vet(config).map_or_else(|(what, why)| format!("{what}: {why}"), |()| "taken".to_owned())
    }

    #[test]
    fn what_the_checks_would_add_later_is_looked_at_before() {
        let control = control();
        assert_eq!(told(&control, &one("10.0.0.2")), "taken");
        let refused = told(&control, &one("0.0.0.1"));
        assert!(refused.starts_with("0.0.0.1:80 of [192.0.2.2]:tcp:80: "), "{refused}");
        let sorry = RealServer { rip: [0, 0, 0, 1].into(), ..one("10.0.0.2").services[0].servers[0] };
        let mut with_sorry = one("10.0.0.2");
        with_sorry.checked[0] = CheckedConfig { sorry: Some(sorry), ..with_sorry.checked[0].clone() };
        assert!(told(&control, &with_sorry).starts_with("0.0.0.1:80 of [192.0.2.1]:tcp:80: "));
    }

    #[test]
    fn timeouts_that_the_kernel_would_not_take_are_refused_in_front() {
        let timeouts = Some(Timeouts { tcp: 900, tcp_fin: 2_147_483_647, udp: 300 });
        let refused = told(&control(), &Config { timeouts, ..Config::default() });
        assert!(refused.starts_with("timeouts: "), "{refused}");
    }

    #[test]
    fn a_rule_for_an_interface_that_is_not_served_is_refused_in_front() {
        let toml = "[[mark]]\nvalue = 1\ninterface = \"eth9\"\n";
        let refused = told(&control(), &Config::parse("test.toml", toml).unwrap());
        assert!(refused.starts_with("the rules for marks: "), "{refused}");
    }

    #[test]
    fn more_than_the_xdp_program_can_know_is_refused_in_front() {
        use std::fmt::Write as _;
        let many = |groups: u32| {
            let mut text = String::new();
            for group in 0..groups {
                let _ = write!(text, "virtual_server_group G{group} {{\n 10.{group}.0.0/18 80\n}}\n");
                let _ = write!(text, "virtual_server group G{group} {{\n protocol TCP\n}}\n");
            }
            config(&text)
        };
        assert_eq!(told(&control(), &many(8)), "taken");
        let refused = told(&control(), &many(9));
        assert!(refused.starts_with("the XDP program: more than 131072 "), "{refused}");
    }

    /// As many as a large site has; what is not checked, so that all of it is the registry's.
    #[test]
    fn of_thirty_seven_thousand_servers_only_the_one_that_differs_is_changed() {
        let service = |number: u8, high: u8| {
            let mut one = one("10.0.0.2").services.remove(0);
            one.service.id =
                ServiceId::Address { transport: Transport::Tcp, vip: [10, 1, high, number].into(), port: 80 };
            let server = |last: u8| RealServer { rip: [10, 2 + high, number, last].into(), ..one.servers[0] };
            let count = if (u16::from(number) + u16::from(high) * 250) % 2 == 0 { 19 } else { 18 };
            ServiceConfig { servers: (1..=count).map(server).collect(), ..one }
        };
        let services = (0..8).flat_map(|high| (1..=250).map(move |number| service(number, high))).collect();
        let old = Config { services, ..Config::default() };
        let mut control = control();
        control.vet(&old).unwrap();
        control.load(&old).unwrap();
        let count = |control: &Control| {
            let declared = control.registry().declared();
            declared.fold((0, 0), |(services, servers), (_, own)| (services + 1, servers + own.count()))
        };
        assert_eq!(count(&control), (2000, 37_000));
        assert_eq!(control.gain(&old, &old).unwrap().changes, 0);
        let mut new = old.clone();
        new.services[1000].servers[3].weight = 7;
        let gained = control.gain(&old, &new).unwrap();
        assert_eq!((gained.changes, gained.losses.len()), (1, 0));
        new.services.truncate(1000);
        let gained = control.gain(&old, &new).unwrap();
        control.lose(gained.losses);
        assert_eq!(count(&control), (1000, 18_500));
    }

    #[test]
    fn what_the_registry_refuses_in_the_middle_is_taken_back() {
        let mut control = control();
        let old = one("10.0.0.2");
        control.load(&old).unwrap();
        let listing = |control: &mut Control| control.answer(Request::List { id: None });
        let before = listing(&mut control);
        let mut new = one("10.0.0.3");
        new.services[0].service.scheduler = "rr".to_owned();
        new.services[1].service.scheduler = "no such".to_owned();
        let (what, _) = control.gain(&old, &new).unwrap_err();
        assert_eq!(what, "[192.0.2.2]:tcp:80");
        assert_eq!(listing(&mut control), before);
    }
}

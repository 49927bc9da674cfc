//! The schedulers as the kernel has them: one list, walked from server to server.

use lvs_sched::{Kind, Pool, Slot};

use crate::servers::{Server, Servers};

type Scan = fn(&Servers) -> Option<Slot>;

/// Schedulers that look at all servers and remember nothing.
pub(crate) const SCANS: [(Kind, Scan); 6] = [
    (Kind::Lc, |pool| least(pool, overhead, |_| 1)),
    (Kind::Wlc, |pool| least(pool, overhead, |server| server.weight)),
    (Kind::Sed, |pool| least(pool, delay, |server| server.weight)),
    (Kind::Nq, never_queue),
    (Kind::Fo, |pool| heaviest(pool, |_| true)),
    (Kind::Ovf, |pool| heaviest(pool, |server| server.active <= server.weight)),
];

fn overhead(server: &Server) -> u64 {
    u64::from(server.active) * 256 + u64::from(server.inactive)
}

fn delay(server: &Server) -> u64 {
    u64::from(server.active) + 1
}

fn open(pool: &Servers) -> impl Iterator<Item = (Slot, &Server)> {
    let all = (0..).map(Slot).zip(&pool.0);
    all.filter(|(_, server)| server.weight > 0 && !server.overloaded)
}

fn least(pool: &Servers, load: fn(&Server) -> u64, share: fn(&Server) -> u32) -> Option<Slot> {
    let mut least: Option<(Slot, &Server)> = None;
    for (slot, server) in open(pool) {
        let is_less = |(_, best): (Slot, &Server)| {
            load(best) * u64::from(share(server)) > load(server) * u64::from(share(best))
        };
        if least.is_none_or(is_less) {
            least = Some((slot, server));
        }
    }
    least.map(|(slot, _)| slot)
}

fn never_queue(pool: &Servers) -> Option<Slot> {
    let idle = open(pool).find(|(_, server)| server.active == 0);
    idle.map(|(slot, _)| slot).or_else(|| least(pool, delay, |server| server.weight))
}

fn heaviest(pool: &Servers, has_room: fn(&Server) -> bool) -> Option<Slot> {
    let mut heaviest: Option<(Slot, u32)> = None;
    for (slot, server) in open(pool).filter(|(_, server)| has_room(server)) {
        if heaviest.is_none_or(|(_, weight)| server.weight > weight) {
            heaviest = Some((slot, server.weight));
        }
    }
    heaviest.map(|(slot, _)| slot)
}

/// The walk of `wrr`, step by step. The list's head is place 0, slot 0 is place 1.
#[derive(Debug)]
pub(crate) struct GcdWalk {
    at: usize,
    needed: i64,
    most: i64,
    step: i64,
}

impl GcdWalk {
    pub(crate) fn new(pool: &Servers) -> Self {
        let mut new = Self { at: 0, needed: 0, most: 0, step: 1 };
        new.changed(pool);
        new.needed = new.most;
        new
    }

    pub(crate) fn changed(&mut self, pool: &Servers) {
        let weights = || pool.0.iter().map(|server| i64::from(server.weight));
        self.at = 0;
        let divides = |step: &i64| weights().all(|weight| weight % step == 0);
        let least = weights().filter(|&weight| weight > 0).min();
        self.step = least.and_then(|least| (1..=least).rev().find(divides)).unwrap_or(1);
        self.most = weights().max().unwrap_or(0) - (self.step - 1);
        if self.needed > self.most || self.needed == 0 {
            self.needed = self.most;
        } else if self.step > 1 {
            self.needed = self.needed / self.step * self.step + 1;
        }
    }

    pub(crate) fn pick(&mut self, pool: &Servers) -> Option<Slot> {
        if self.most == 0 {
            return None;
        }
        let began = self.at;
        let (mut last_lap, mut restarted, mut stop) = (false, false, None);
        loop {
            while self.at < pool.len() {
                self.at += 1;
                let server = &pool.0[self.at - 1];
                if !server.overloaded && i64::from(server.weight) >= self.needed {
                    return Some(Slot(u32::try_from(self.at - 1).unwrap()));
                }
                if Some(self.at) == stop {
                    return None;
                }
            }
            self.at = 0;
            self.needed -= self.step;
            if self.needed <= 0 {
                self.needed = self.most;
                if last_lap || began == 0 {
                    return None;
                }
                restarted = true;
            }
            last_lap = self.needed <= self.step;
            if last_lap && restarted && began > 0 {
                stop = Some(began);
            }
        }
    }
}

/// The round of `rr`. The list's head is place 0.
#[derive(Debug, Default)]
pub(crate) struct Round(pub(crate) usize);

impl Round {
    pub(crate) fn pick(&mut self, pool: &Servers) -> Option<Slot> {
        let count = pool.len() + 1;
        let lap = (1..=count).map(|step| (self.0 + step) % count).filter(|&place| place > 0);
        let place = lap.into_iter().find(|&place| {
            let server = &pool.0[place - 1];
            server.weight > 0 && !server.overloaded
        })?;
        self.0 = place;
        Some(Slot(u32::try_from(place - 1).unwrap()))
    }
}

//! The defence against floods: a share of all entries, drawn by lot, is looked at, and what is not worth keeping
//! goes by force (the kernel's `ip_vs_random_dropentry`).

use super::sweep::BATCH;
use super::{Expired, Table, visit};
use crate::conn::Conn;
use crate::template::Template;
use crate::tick::Tick;
use crate::wheel::{Timer, Wheel};

/// Of so many entries one is looked at.
const SHARE: u64 = 32;

impl<B, T> Table<B, T> {
    /// Looks at one in 32 of the connections and of the templates, drawn with `draw`, and ends those that
    /// `unwanted` and `unwanted_template` say yes to; says how many. It costs what is looked at, not the size of
    /// the table. An entry may be drawn twice, as the kernel may come to a bucket twice.
    ///
    /// A connection goes as with [`evict`](Self::evict), unless it is [held](Self::holding); a template goes unless
    /// connections hang on it, and is handed out by the next sweep. `draw` gives any of the 64-bit numbers, all alike likely. None of the
    /// functions may call the table.
    pub fn thin(
        &self,
        now: Tick,
        mut draw: impl FnMut() -> u64,
        mut unwanted: impl FnMut(&Conn<B, T>) -> bool,
        mut unwanted_template: impl FnMut(&Template<T>) -> bool,
    ) -> usize {
        visit::forbid();
        let mut ended = 0;
        let mut batch = Vec::with_capacity(BATCH);
        for wheel in &self.wheels {
            let mut left = lots(wheel.lock().numbers(), &mut draw);
            while left > 0 {
                let count = left.min(BATCH);
                left -= count;
                sample(&wheel.lock(), count, &mut draw, &mut batch);
                for (timer, home) in batch.drain(..) {
                    ended += usize::from(self.thin_out(timer, home, now, &mut unwanted));
                }
            }
        }
        ended
            + self.templates.thin(now, &mut draw, &mut unwanted_template, |t| self.fall(Expired::Template(t)))
    }

    fn thin_out(
        &self,
        timer: Timer,
        home: u64,
        now: Tick,
        unwanted: &mut impl FnMut(&Conn<B, T>) -> bool,
    ) -> bool {
        let taken = self.take_out(home, |place| {
            let _visit = visit::enter();
            let conn = &place.timed(timer)?.conn;
            (!conn.is_expired(now) && !(self.held)(conn.binding()) && unwanted(conn)).then_some(timer)
        });
        taken.map(|mut conn| self.forsake(&mut conn)).is_some()
    }
}

/// How many of `numbers` are drawn: a share of them, and of the rest one as often as makes the share exact.
pub(super) fn lots(numbers: usize, draw: &mut impl FnMut() -> u64) -> usize {
    let numbers = u64::try_from(numbers).unwrap_or(u64::MAX);
    let rest = u64::from(draw() % SHARE < numbers % SHARE);
    usize::try_from(numbers / SHARE + rest).unwrap_or(usize::MAX)
}

/// Appends to `batch` the entries that `count` draws come to.
pub(super) fn sample<E: Clone + Default>(
    wheel: &Wheel<E>,
    count: usize,
    draw: &mut impl FnMut() -> u64,
    batch: &mut Vec<(Timer, E)>,
) {
    let numbers = wheel.numbers() as u128;
    for _ in 0..count {
        // The upper half of the product is below `numbers`, and all are alike likely.
        let lot = usize::try_from((u128::from(draw()) * numbers) >> 64).unwrap_or(0);
        batch.extend(wheel.numbered(lot));
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;
    use std::net::SocketAddr;

    use super::*;
    use crate::{FlowKey, NewConn, NewTemplate, Proto, TemplateKey, TemplateService};

    const NOW: Tick = Tick::from_millis(1000);

    /// A generator whose draws a seed makes the same again.
    fn dice(mut seed: u64) -> impl FnMut() -> u64 {
        move || {
            seed = seed.wrapping_add(0x9e37_79b9_7f4a_7c15);
            let mixed = (seed ^ (seed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
            mixed ^ (mixed >> 31)
        }
    }

    fn flow(number: u32) -> FlowKey {
        let [a, b, c, d] = number.to_be_bytes();
        let port = u16::from_be_bytes([c, d]);
        let (src, dst) = ([198, 51, a, b].into(), [10, 9, 9, 9].into());
        FlowKey { proto: Proto::TCP, src, src_port: port, dst, dst_port: 80 }
    }

    fn server() -> SocketAddr {
        ([10, 2, 0, 11], 80).into()
    }

    fn of_template(client: u8) -> TemplateKey {
        let service = TemplateService::Address([10, 9, 9, 9].into(), 80);
        TemplateKey { proto: Proto::TCP, client: [192, 0, 2, client].into(), service }
    }

    fn template(client: u8) -> NewTemplate<'static, u32> {
        NewTemplate { key: of_template(client), data: &[], server: server(), binding: 0, timeout: 100 }
    }

    fn with_conns(count: u32) -> Table<u32> {
        let table = Table::new(100_000, 7);
        for number in 0..count {
            let key = flow(number);
            let new =
                NewConn { key, server: server(), reply: true, no_output: false, binding: 0, template: None };
            table.insert(Conn::new(new, NOW), NOW).unwrap();
        }
        table
    }

    #[test]
    fn about_one_in_thirty_two_is_looked_at_and_the_unwanted_go() {
        for count in [8, 100, 1000, 50_000] {
            let table = with_conns(count);
            let looked_at = Cell::new(0u32);
            let mut draw = dice(5);
            for _ in 0..100 {
                let look = |_: &Conn<u32>| {
                    looked_at.set(looked_at.get() + 1);
                    false
                };
                assert_eq!(table.thin(NOW, &mut draw, look, |_| false), 0);
            }
            let expected = count * 100 / 32;
            let spread = expected.isqrt() * 4;
            assert!(looked_at.get().abs_diff(expected) <= spread, "{} of {count}", looked_at.get());
            assert_eq!(table.len(), count as usize);
        }
        let table = with_conns(3200);
        let odd = |conn: &Conn<u32>| conn.key().src_port % 2 == 1;
        let mut draw = dice(5);
        let ended: usize = (0..400).map(|_| table.thin(NOW, &mut draw, odd, |_| false)).sum();
        assert_eq!(
            (ended, table.len()),
            (1600, 1600),
            "every unwanted one is come to in the end, and only those"
        );
        table.for_each(NOW, |conn| assert!(!odd(conn)));
    }

    #[test]
    fn the_same_draws_end_the_same_connections() {
        let left = |seed| {
            let table = with_conns(2000);
            let mut draw = dice(seed);
            table.thin(NOW, &mut draw, |_| true, |_| false);
            let mut left = Vec::new();
            table.for_each(NOW, |conn| left.push(*conn.key()));
            left.sort_unstable();
            left
        };
        assert_eq!(left(1), left(1));
        assert_ne!(left(1), left(2));
    }

    #[test]
    fn a_template_goes_unless_connections_hang_on_it() {
        let table = Table::<u32>::new(100, 7);
        let held = table.insert_template(template(1), NOW).unwrap();
        drop(table.insert_template(template(2), NOW).unwrap());
        let mut draw = dice(5);
        let ended: usize = (0..1000).map(|_| table.thin(NOW, &mut draw, |_| true, |_| true)).sum();
        assert_eq!((ended, table.templates_len()), (1, 1));
        assert!(table.with_template(&of_template(1), &[], NOW, |_| ()).is_some());
        let mut handed_out = 0;
        table.sweep(NOW, usize::MAX, |_| handed_out += 1);
        assert_eq!(handed_out, 1);
        drop(held);
    }

    #[test]
    fn a_template_that_is_not_assured_goes_with_the_last_connection_that_goes() {
        let table = Table::new(100, 7);
        let lease = table.insert_template(template(1), NOW).unwrap();
        let new = NewConn {
            key: flow(1),
            server: server(),
            reply: true,
            no_output: false,
            binding: 0,
            template: Some(lease),
        };
        table.insert(Conn::new(new, NOW), NOW).unwrap();
        let mut draw = dice(5);
        while table.thin(NOW, &mut draw, |_| true, |_| false) == 0 {}
        assert_eq!((table.len(), table.templates_len()), (0, 0));
    }

    #[test]
    fn what_is_over_is_left_to_the_sweep() {
        let table = with_conns(64);
        let later = Tick::from_millis(100_000);
        let mut draw = dice(5);
        let ended: usize = (0..200).map(|_| table.thin(later, &mut draw, |_| true, |_| true)).sum();
        assert_eq!((ended, table.len()), (0, 64));
    }
}

//! What a connection costs: bytes in the table, and no allocation for a packet.

#![allow(unsafe_code, reason = "counting needs an allocator of one's own; this one hands everything on")]

use std::alloc::{GlobalAlloc, Layout, System};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use lvs_conntrack::{Conn, FlowKey, NewConn, Proto, Table, TcpFlags, TcpTable, Tick, Timeouts};

struct Counting;

static LIVE: AtomicUsize = AtomicUsize::new(0);
static CALLS: AtomicUsize = AtomicUsize::new(0);

// SAFETY: every call goes to `System` with the arguments it came with, so its guarantees are this one's.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        CALLS.fetch_add(1, Ordering::Relaxed);
        LIVE.fetch_add(layout.size(), Ordering::Relaxed);
        // SAFETY: the caller keeps the contract of `GlobalAlloc::alloc`.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        LIVE.fetch_sub(layout.size(), Ordering::Relaxed);
        // SAFETY: the caller keeps the contract of `GlobalAlloc::dealloc`.
        unsafe { System.dealloc(block, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

const CONNS: u32 = 1_000_000;

/// As large as what the director binds a connection to: a counted pointer, the count, the way to the server.
#[derive(Clone)]
struct Bound {
    _held: (Arc<()>, u8, u8),
    _more: Option<Arc<()>>,
}

fn conn(n: u32, v6: bool, binding: &Bound) -> Conn<Bound> {
    let address = |host: u32| -> IpAddr {
        if v6 {
            Ipv6Addr::from_bits(0x2001_0db8 << 96 | u128::from(host)).into()
        } else {
            Ipv4Addr::from_bits(0x0a00_0000 | host).into()
        }
    };
    let key =
        FlowKey { proto: Proto::TCP, src: address(n), src_port: 1024, dst: address(0xff_0001), dst_port: 80 };
    let server = SocketAddr::new(address(0xff_0100 + n % 16), 8080);
    let binding = binding.clone();
    Conn::new(NewConn { key, server, reply: true, no_output: false, binding, template: None }, Tick::ZERO)
}

/// One test, for the counters are the whole process's.
#[test]
fn a_nat_connection_takes_at_most_three_hundred_bytes_and_a_packet_none() {
    let binding = Bound { _held: (Arc::new(()), 0, 0), _more: None };
    for v6 in [false, true] {
        let before = LIVE.load(Ordering::Relaxed);
        let table = Table::new(usize::MAX, 7);
        for n in 0..CONNS {
            table.insert(conn(n, v6, &binding), Tick::ZERO).unwrap();
        }
        let each = (LIVE.load(Ordering::Relaxed) - before) / table.len();
        println!("IPv{}: {each} bytes a connection, both directions", if v6 { 6 } else { 4 });
        assert!(each <= 300, "{each}");

        let keys: Vec<FlowKey> = (0..1000).map(|n| *conn(n, v6, &binding).key()).collect();
        let calls = CALLS.load(Ordering::Relaxed);
        for key in &keys {
            let found = table.with(key, Tick::ZERO, |conn, direction| {
                conn.on_tcp(TcpFlags::ACK, direction, &Timeouts::default(), TcpTable::Normal);
                conn.touch(Tick::ZERO);
            });
            assert!(found.is_some());
        }
        assert_eq!(CALLS.load(Ordering::Relaxed), calls);
    }
}

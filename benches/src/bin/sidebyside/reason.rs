//! Why a figure may fall short, and what was tried: for the page, beside values that do.

/// The reason for a figure.
pub(crate) fn of(id: &str) -> &'static str {
    match id {
        "nat-1000" | "nat-100000" | "nat-1000000" | "bare-1000" | "bare-100000" => {
            "the bare program looks at nothing but the packet; here a flow is looked up and its counters and time are \
             written, which with many flows are in no cache of the processor: a miss for each packet, and one of the TLB. \
             Tried: a flow in half a cache line and never in two, with what several have in common elsewhere; time and \
             counter written as one; coarse clocks."
        }
        "direct" | "ipip" => "the flow is looked up and accounted for, which plain forwarding does not do.",
        "afxdp-nat-1000" | "afxdp-nat-1000000" | "afxdp-direct" | "afxdp-ipip" => {
            "the difference is the program's finding out whose a packet is, and the director's own time (the figures \
             of user time), where the bare forwarder replaces two addresses and looks at nothing. Tried: as for those."
        }
        "user-1000" | "user-1000000" => {
            "reading, the lookup, state, timer, counters of server and service, rewriting and both checksums of a \
             packet are done one after another; a fifth of it is taking and leaving the lock of a part of the table, \
             which belongs to all workers. With a million connections a packet waits for two lines of memory that are \
             in no cache, and for the pages' own tables. Tried: a short way for what is known, compiled for each family \
             with all fields at places that are known beforehand (a quarter fewer steps, and few that wait for what \
             was just written); a burst's connections fetched from memory at one time, which the locks in between \
             undo in part; large pages by the allocator's own setting, which brought a tenth to a quarter with a \
             million connections and is left to the environment (GLIBC_TUNABLES=glibc.malloc.hugetlb=1)."
        }
        "new" => {
            "of a new flow's time most is the kernel's: the packet's sending, the way to the socket, and AF_XDP's \
             transmit, which nft does not have and which alone takes a fifth of what nft takes for all. The rest is \
             choosing, two entries in the table and a timer, most of it waiting for memory that nobody has touched \
             before. Tried: one count less of each server's references, no look at who watches a server where nobody \
             does."
        }
        "tcp-connections" | "tcp-requests" | "tcp-latency" => {
            "clients and servers share two processors with the balancer, and their own TCP takes most of the time \
             whoever balances: the rate without a balancer (routed) is the most there can be. The packets that open \
             and close a connection wake the director's worker, which then runs in competition with both. Tried: \
             keeping workers awake for a moment after a burst."
        }
        "transfer" | "transfer-cut" => {
            "nft passes on segments of up to 64 KiB, which veth never cuts, or which GRO has joined again where they \
             were cut before; a native XDP program has veth cut all of them, and sees one frame after another. On \
             network cards frames come as they are on the wire, and only GRO makes a difference. Tried: connections \
             taken into the cache behind the burst that establishes them, where it took up to 100 ms and most of a \
             megabyte went by the workers (twice the transfers, and 99 % of the packets go by the program); a queue at \
             the clients' and servers' ends, so that veth's ring holds back what it would drop; GRO on at these ends. \
             Segments cannot be kept whole without giving native XDP up."
        }
        "idle-cpu" => "the control thread wakes to look after timers. Tried: nothing yet.",
        "idle-first" => {
            "the worker sleeps, and the first packet wakens it before the server is wakened: one sleeper more than with \
             nft, on processors that were halted. Tried: looking at the rings for longer behind a silence, so that the \
             answer finds the worker awake: there and back it is about half of what it was."
        }
        "memory" => {
            "a connection is kept in user space with its timer and both its keys, and each of its two directions in the \
             cache. Tried: connections of 295 octets in place of 312; flows of 32 octets in place of 48."
        }
        "edits-rate" | "edits-lost" => {
            "a change of a server takes the decisions about its flows back for a moment."
        }
        "kill-broken" | "kill-resets" | "kill-lost" => "found by this run; the tests hold it to be none.",
        "kill-again" => {
            "the daemon loads its program, takes the flows back and binds its sockets, which the kernel allows only \
             when those of the killed one are torn down. Tried: asking again soon, at first after 5 ms."
        }
        _ => "no reason is known yet.",
    }
}

// SPDX-License-Identifier: MIT OR Apache-2.0 OR GPL-2.0
/*
 * Decides which packets are the director's. Those go to its AF_XDP socket, all else to the host, untouched.
 *
 *   frame -> not addressed to this interface (interface.h) ------------------> the host
 *         -> of a flow that is decided about (forward.h) ----------------------> out, rewritten
 *         -> Ethernet, VLAN tags -> not IP ------------------------------------> the host
 *         -> IPv4, IPv6 -> a fragment to a VIP or from a NAT real server -----> the director
 *                       -> an ICMP error to a VIP, or that quotes our packet -> the director
 *                       -> to a virtual service, from a NAT real server ------> the director
 *                       -> to a prefix and port that may be marked -----------> the director
 *                       -> anything else -------------------------------------> the host
 *
 * A packet of the director's is dropped while there is no socket: the host's own stack would answer it with a
 * reset and so end a connection that a restarted director could have gone on with.
 */
#include "claim.h"
#include "forward.h"
#include "interface.h"

/* The sockets; an interface's queue q is behind its base. */
struct {
	__uint(type, BPF_MAP_TYPE_XSKMAP);
	__uint(max_entries, 4096);
	__type(key, __u32);
	__type(value, __u32);
} lvsd_xsk SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, COUNT_COUNT);
	__type(key, __u32);
	__type(value, __u64);
} lvsd_count SEC(".maps");

static __always_inline void count(__u32 reason)
{
	__u64 *counter = bpf_map_lookup_elem(&lvsd_count, &reason);
	if (counter)
		*counter += 1;
}

SEC("xdp")
int lvsd_xdp(struct xdp_md *xdp)
{
	void *data = (void *)(long)xdp->data, *end = (void *)(long)xdp->data_end;
	const struct ethernet *ethernet = data;
	const struct interface *interface = interface_of(xdp->ingress_ifindex);
	if ((void *)(ethernet + 1) > end || (interface && !is_addressed(interface, ethernet))) {
		count(COUNT_PASSED);
		return XDP_PASS;
	}

	__be16 type = ethernet->type;
	int known = forward_known(xdp, type);
	__u32 outcome = OUTCOME(known);
	if (outcome == OUTCOME_FORWARDED) {
		count_outcome(OUTCOME_FORWARDED);
		return ACTION(known);
	}

	__u32 reason = claim(xdp, type);
	if (reason == COUNT_PASSED) {
		count(COUNT_PASSED);
		return XDP_PASS;
	}

	count_outcome(outcome);
	int action = XDP_DROP;
	if (interface)
		action = bpf_redirect_map(&lvsd_xsk, interface->base + xdp->rx_queue_index, XDP_DROP);
	count(action == XDP_REDIRECT ? reason : COUNT_NO_SOCKET);
	return action;
}

char LICENSE[] SEC("license") = "Dual MIT/GPL";

// SPDX-License-Identifier: MIT OR Apache-2.0 OR GPL-2.0
/*
 * The least that AF_XDP needs: every frame goes to the socket of its queue.
 */
#include "../../forward/bpf/parse.h"

struct {
	__uint(type, BPF_MAP_TYPE_XSKMAP);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, __u32);
} bench_socket SEC(".maps");

SEC("xdp")
int bench_all(struct xdp_md *xdp)
{
	return bpf_redirect_map(&bench_socket, xdp->rx_queue_index, XDP_PASS);
}

char LICENSE[] SEC("license") = "Dual MIT/GPL";

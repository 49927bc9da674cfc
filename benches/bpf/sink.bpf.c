// SPDX-License-Identifier: MIT OR Apache-2.0 OR GPL-2.0
/*
 * The end of the side-by-side runs: counts the frames that came as they should, and drops all.
 */
#include "../../forward/bpf/parse.h"

/* sidebyside::sink mirrors these. */
enum count {
	/* To the expected address. */
	COUNT_GOOD = 0,
	/* Other IPv4. */
	COUNT_ELSEWHERE,
	/* What hosts say of themselves: ARP, IPv6. */
	COUNT_OTHER,
	COUNT_COUNT,
};

/* The expected destination: the bits of the mask are those of the address, in network order. */
struct expected {
	__be32 address;
	__be32 mask;
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct expected);
} bench_expected SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, COUNT_COUNT);
	__type(key, __u32);
	__type(value, __u64);
} bench_count SEC(".maps");

static __always_inline __u32 look_at(struct xdp_md *xdp)
{
	void *data = (void *)(long)xdp->data, *end = (void *)(long)xdp->data_end;
	struct ethernet *ethernet = data;
	struct ipv4 *ip = (void *)(ethernet + 1);
	__u32 zero = 0;
	struct expected *expected = bpf_map_lookup_elem(&bench_expected, &zero);

	if (!expected || (void *)(ip + 1) > end || ethernet->type != bpf_htons(ETHERTYPE_IPV4))
		return COUNT_OTHER;
	return (ip->destination & expected->mask) == expected->address ? COUNT_GOOD : COUNT_ELSEWHERE;
}

SEC("xdp")
int bench_sink(struct xdp_md *xdp)
{
	__u32 place = look_at(xdp);
	__u64 *counter = bpf_map_lookup_elem(&bench_count, &place);
	if (counter)
		*counter += 1;
	return XDP_DROP;
}

char LICENSE[] SEC("license") = "Dual MIT/GPL";

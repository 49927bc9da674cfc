// SPDX-License-Identifier: MIT OR Apache-2.0 OR GPL-2.0
/*
 * The least that NAT in XDP can be: every UDP packet gets the same new destination and goes out of the same
 * interface. Nothing is looked up and nothing remembered.
 */
#include "../../forward/bpf/parse.h"

/* sidebyside::contender::redirect mirrors this. */
struct rewrite {
	__be32 address;
	__be16 port;
	__u8 destination[6];
	__u8 source[6];
	__u16 zero;
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct rewrite);
} bench_rewrite SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_DEVMAP);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, __u32);
} bench_device SEC(".maps");

struct udp {
	struct ports ports;
	__be16 length;
	__be16 checksum;
} __attribute__((packed));

static __always_inline __u32 fold(__u64 sum)
{
	sum = (sum >> 16) + (sum & 0xffff);
	sum = (sum >> 16) + (sum & 0xffff);
	return (sum >> 16) + (sum & 0xffff);
}

SEC("xdp")
int bench_rewrite_all(struct xdp_md *xdp)
{
	void *data = (void *)(long)xdp->data, *end = (void *)(long)xdp->data_end;
	struct ethernet *ethernet = data;
	struct ipv4 *ip = (void *)(ethernet + 1);
	struct udp *udp = (void *)(ip + 1);
	__u32 zero = 0;
	struct rewrite *to = bpf_map_lookup_elem(&bench_rewrite, &zero);

	if (!to || (void *)(udp + 1) > end || ethernet->type != bpf_htons(ETHERTYPE_IPV4) || ip->proto != PROTO_UDP)
		return XDP_PASS;
	__u64 change = (__u64)(__u32)~ip->destination + to->address;
	/* One less of TTL is one less of a word's first octet. */
	ip->checksum = ~fold(change + (__u16)~ip->checksum + bpf_htons(0xfeff));
	udp->checksum = ~fold(change + (__u16)~udp->checksum + (__u16)~udp->ports.destination + to->port);
	ip->ttl -= 1;
	ip->destination = to->address;
	udp->ports.destination = to->port;
	__builtin_memcpy(ethernet->destination, to->destination, 6);
	__builtin_memcpy(ethernet->source, to->source, 6);
	return bpf_redirect_map(&bench_device, 0, XDP_DROP);
}

char LICENSE[] SEC("license") = "Dual MIT/GPL";

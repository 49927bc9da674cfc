// SPDX-License-Identifier: MIT OR Apache-2.0 OR GPL-2.0
/*
 * Makes the frames of the side-by-side runs: run by bpf_prog_test_run over live frames, it writes the headers of one
 * packet of the next flow and sends it out of an interface, from where it comes in at a contender's as if from a NIC.
 *
 * The frames' memory is used again with what the receiver made of it, so every octet of the headers is written.
 */
#include "../../forward/bpf/parse.h"

#define HEADER 42
#define WORDS (HEADER / 8)
/* As many flows have one client address. */
#define PORT_BITS 6

/* sidebyside::generator mirrors this. */
struct job {
	/* Where the frames leave. */
	__u32 ifindex;
	__u32 flows;
	/* From a flow to the next, less than `flows`. */
	__u32 step;
	/* The flow of the next frame. */
	__u32 next;
	/* The first client's address and port, in host order. */
	__u32 client;
	__u32 port;
	/* The sums over the IP header and over what UDP's checksum covers, both without the client's address and port. */
	__u32 ip_sum;
	__u32 udp_sum;
	/* Ethernet, IPv4 and UDP headers without those, and without checksums. */
	__u64 header[WORDS];
	__u16 last;
	__u16 zero[3];
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct job);
} bench_job SEC(".maps");

struct udp {
	struct ports ports;
	__be16 length;
	__be16 checksum;
} __attribute__((packed));

static __always_inline __u16 checksum(__u32 sum)
{
	sum = (sum >> 16) + (sum & 0xffff);
	sum = (sum >> 16) + (sum & 0xffff);
	return ~sum;
}

SEC("xdp")
int bench_generate(struct xdp_md *xdp)
{
	void *data = (void *)(long)xdp->data, *end = (void *)(long)xdp->data_end;
	__u32 zero = 0;
	struct job *job = bpf_map_lookup_elem(&bench_job, &zero);

	if (!job || data + HEADER > end)
		return XDP_ABORTED;
	__u32 flow = job->next;
	__u32 next = flow + job->step;
	job->next = next < job->flows ? next : next - job->flows;

	__u64 *word = data;
#pragma unroll
	for (int i = 0; i < WORDS; i++)
		word[i] = job->header[i];
	*(__u16 *)&word[WORDS] = job->last;

	struct ipv4 *ip = data + sizeof(struct ethernet);
	struct udp *udp = (void *)(ip + 1);
	__be32 client = bpf_htonl(job->client + (flow >> PORT_BITS));
	__be16 port = bpf_htons(job->port + (flow & ((1 << PORT_BITS) - 1)));
	__u32 address = (client >> 16) + (client & 0xffff);
	ip->source = client;
	ip->checksum = checksum(job->ip_sum + address);
	udp->ports.source = port;
	__u16 sum = checksum(job->udp_sum + address + port);
	/* RFC 768: zero would say that there is none. */
	udp->checksum = sum ? sum : 0xffff;
	return bpf_redirect(job->ifindex, 0);
}

char LICENSE[] SEC("license") = "Dual MIT/GPL";

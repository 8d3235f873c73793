/* SPDX-License-Identifier: MIT */

/* SipHash, after the paper's section 2: see siphash.h. */

#include "lib/base/siphash.h"

#include <endian.h>
#include <string.h>

struct state {
	uint64_t v0, v1, v2, v3;
};

static uint64_t load(const uint8_t *p)
{
	uint64_t v;

	memcpy(&v, p, sizeof(v));
	return le64toh(v);
}

static uint64_t rotate(uint64_t x, unsigned by)
{
	return (x << by) | (x >> (64 - by));
}

static inline void sip_round(struct state *s)
{
	s->v0 += s->v1;
	s->v1 = rotate(s->v1, 13) ^ s->v0;
	s->v0 = rotate(s->v0, 32);
	s->v2 += s->v3;
	s->v3 = rotate(s->v3, 16) ^ s->v2;
	s->v0 += s->v3;
	s->v3 = rotate(s->v3, 21) ^ s->v0;
	s->v2 += s->v1;
	s->v1 = rotate(s->v1, 17) ^ s->v2;
	s->v2 = rotate(s->v2, 32);
}

static inline void compress(struct state *s, uint64_t word, int rounds)
{
	s->v3 ^= word;
	for (int i = 0; i < rounds; i++)
		sip_round(s);
	s->v0 ^= word;
}

/* Inline, so that the rounds are constants where it is called. */
static inline uint64_t hash(const struct siphash_key *key, const void *p, size_t n, int rounds,
			    int last_rounds)
{
	const uint64_t k0 = load(key->b), k1 = load(key->b + 8);
	struct state s = {
		k0 ^ UINT64_C(0x736f6d6570736575),
		k1 ^ UINT64_C(0x646f72616e646f6d),
		k0 ^ UINT64_C(0x6c7967656e657261),
		k1 ^ UINT64_C(0x7465646279746573),
	};
	const uint8_t *b = p;
	uint8_t last[8] = { 0 };

	last[7] = (uint8_t)n;
	for (; n >= 8; n -= 8, b += 8)
		compress(&s, load(b), rounds);
	if (n)
		memcpy(last, b, n);
	compress(&s, load(last), rounds);
	s.v2 ^= 0xff;
	for (int i = 0; i < last_rounds; i++)
		sip_round(&s);
	return s.v0 ^ s.v1 ^ s.v2 ^ s.v3;
}

uint64_t siphash(const struct siphash_key *key, const void *p, size_t n)
{
	return hash(key, p, n, 2, 4);
}

uint64_t siphash_1_3(const struct siphash_key *key, const void *p, size_t n)
{
	return hash(key, p, n, 1, 3);
}

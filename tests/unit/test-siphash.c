/* SPDX-License-Identifier: MIT */

#include "lib/base/siphash.h"
#include "tests/unit/unit.h"

/* key 00..0f, message of n bytes 00..n-1; n = 15 is the paper's appendix A, the rest its reference code */
static const struct {
	size_t n;
	uint64_t hash;
} vectors[] = {
	{ 0, UINT64_C(0x726fdb47dd0e0e31) },  { 1, UINT64_C(0x74f839c593dc67fd) },
	{ 2, UINT64_C(0x0d6c8009d9a94f5a) },  { 3, UINT64_C(0x85676696d7fb7e2d) },
	{ 7, UINT64_C(0xab0200f58b01d137) },  { 8, UINT64_C(0x93f5f5799a932462) },
	{ 15, UINT64_C(0xa129ca6149be45e5) },
};

/* The same of SipHash-1-3: openssl mac -macopt c-rounds:1 -macopt d-rounds:3 -macopt size:8 SIPHASH */
static const struct {
	size_t n;
	uint64_t hash;
} quick_vectors[] = {
	{ 0, UINT64_C(0xabac0158050fc4dc) }, { 1, UINT64_C(0xc9f49bf37d57ca93) },
	{ 7, UINT64_C(0xd3927d989bb11140) }, { 8, UINT64_C(0x369095118d299a8e) },
	{ 9, UINT64_C(0x25a48eb36c063de4) },
};

static struct siphash_key counting_key(void)
{
	struct siphash_key k;

	for (uint8_t i = 0; i < 16; i++)
		k.b[i] = i;
	return k;
}

/* Of the first bytes of a message that counts, too. */
static uint64_t hash_counting(uint64_t (*hash)(const struct siphash_key *, const void *, size_t),
			      size_t n)
{
	struct siphash_key k = counting_key();
	uint8_t message[16];

	for (uint8_t i = 0; i < 16; i++)
		message[i] = i;
	return hash(&k, message, n);
}

START_TEST(the_published_vectors_come_out)
{
	ck_assert_uint_eq(hash_counting(siphash, vectors[_i].n), vectors[_i].hash);
}
END_TEST

START_TEST(the_quick_ones_are_those_of_openssl)
{
	ck_assert_uint_eq(hash_counting(siphash_1_3, quick_vectors[_i].n), quick_vectors[_i].hash);
}
END_TEST

START_TEST(another_key_gives_another_hash)
{
	struct siphash_key a = counting_key(), b = a;

	b.b[15] ^= 1;
	ck_assert_uint_ne(siphash(&a, "x", 1), siphash(&b, "x", 1));
}
END_TEST

START_TEST(alignment_of_the_message_does_not_matter)
{
	struct siphash_key k = counting_key();
	char shifted[40] = " the same bytes, elsewhere";
	const char *plain = "the same bytes, elsewhere";

	ck_assert_uint_eq(siphash(&k, shifted + 1, 25), siphash(&k, plain, 25));
}
END_TEST

UNIT_MAIN("siphash", UNIT_LOOP(the_published_vectors_come_out, vectors),
	  UNIT_LOOP(the_quick_ones_are_those_of_openssl, quick_vectors),
	  UNIT(another_key_gives_another_hash), UNIT(alignment_of_the_message_does_not_matter))

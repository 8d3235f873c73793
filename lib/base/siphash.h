/* SPDX-License-Identifier: MIT */
#pragma once

#include <stddef.h>
#include <stdint.h>

/*
 * SipHash-2-4 (Aumasson and Bernstein, 2012): a hash that nobody can aim without knowing the key, for
 * tables whose keys come from pods.
 */
struct siphash_key {
	uint8_t b[16];
};

uint64_t siphash(const struct siphash_key *key, const void *p, size_t n);
/* With fewer rounds, as the tables of Rust and Python have it: for where nobody sees the hash itself. */
uint64_t siphash_1_3(const struct siphash_key *key, const void *p, size_t n);

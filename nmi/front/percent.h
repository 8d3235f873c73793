/* SPDX-License-Identifier: MIT */
#pragma once

#include "lib/base/str.h"

static inline int percent_hex(char ch)
{
	int c = (unsigned char)ch;

	if (c >= '0' && c <= '9')
		return c - '0';
	c |= 0x20;
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* The byte that the escape at raw.p[i], a '%', stands for; -1 when it is not one. */
static inline int percent_decode(struct str raw, size_t i)
{
	int hi = raw.n - i > 2 ? percent_hex(raw.p[i + 1]) : -1;
	int lo = raw.n - i > 2 ? percent_hex(raw.p[i + 2]) : -1;

	return hi < 0 || lo < 0 ? -1 : hi * 16 + lo;
}

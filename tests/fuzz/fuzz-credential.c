/* SPDX-License-Identifier: MIT */

/*
 * The `data` of a Secret, which anybody may have written: what it gives is whole, and no error has a value of it.
 * In the input, :"@ stands for the beginning of a value that no input can guess.
 */

#include "lib/base/buf.h"
#include "lib/base/cleanup.h"
#include "lib/base/jval.h"
#include "lib/base/siphash.h"
#include "nmi/token/credential.h"
#include "tests/fuzz/fuzz.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define VALUE_BYTES 18 /* whole groups of base64 */

static char value[VALUE_BYTES + 1], encoded[VALUE_BYTES / 3 * 4 + 1];

static void make_value(const uint8_t *data, size_t size)
{
	static const char digits[] =
		"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
	static const struct siphash_key key = { { 3 } };

	(void)snprintf(value, sizeof(value), "K%016" PRIx64 "k", siphash(&key, data, size));
	for (size_t i = 0, o = 0; i < VALUE_BYTES; i += 3, o += 4) {
		unsigned three = (unsigned)value[i] << 16 | (unsigned)value[i + 1] << 8 |
				 (unsigned)value[i + 2];

		for (unsigned k = 0; k < 4; k++)
			encoded[o + k] = digits[three >> (18 - 6 * k) & 63];
	}
}

static void put_input(struct buf *b, const uint8_t *data, size_t size)
{
	for (size_t i = 0; i < size; i++) {
		if (data[i] == '@' && i >= 2 && data[i - 1] == '"' && data[i - 2] == ':')
			buf_put(b, encoded, strlen(encoded));
		else
			buf_put(b, &data[i], 1);
	}
}

static void check(int r, const struct err *err, const struct secret *first)
{
	if (r == 0) {
		assert(err->kind == ERR_NONE && first->p && first->n);
		return;
	}
	assert(err->kind == ERR_INPUT && err->msg[0] && !first->p);
	assert(!strstr(err->msg, value) && !strstr(err->msg, encoded));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	_cleanup_(secret_deinit) struct secret text = { 0 }, certificate = { 0 }, password = { 0 };
	_cleanup_(buf_deinit) struct buf b = { 0 };
	_cleanup_(jval_freep) struct jval *doc = NULL;
	struct err err = { 0 };
	int r;

	make_value(data, size);
	put_input(&b, data, size);
	doc = jval_parse(b.p ? b.p : "", b.n, 65536, NULL);
	r = credential_read_secret(doc, &text, &err);
	check(r, &err, &text);
	err = (struct err){ 0 };
	r = credential_read_certificate(doc, &certificate, &password, &err);
	check(r, &err, &certificate);
	assert(r == 0 || !password.p);
	return 0;
}

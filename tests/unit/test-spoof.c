/* SPDX-License-Identifier: MIT */

/* Which drops are told as ours: the kernel's tables, and who may have them, are stand-ins. */

#include "iptables/nftctx.h"
#include "iptables/spoof.h"
#include "tests/unit/unit.h"

#include <errno.h>
#include <string.h>

/* The tables called nmi-spoof, whoever made them. */
static struct spoof_tally kernel;
static bool is_of_another; /* that runs, so that we cannot make ours */

struct nft_ctx *nftctx_new(struct err *err)
{
	(void)err;
	return NULL;
}

struct nft_ctx *nftctx_free(struct nft_ctx *ctx)
{
	(void)ctx;
	return NULL;
}

void nftctx_set_dry_run(struct nft_ctx *ctx)
{
	(void)ctx;
}

bool nftctx_failed_with(const struct err *err, int os_errno)
{
	return err->os_errno == os_errno;
}

/* A table is made anew, and counts from nothing; a change of what is in it is not. */
int nftctx_run(struct nft_ctx *ctx, const char *commands, const char **out, struct err *err)
{
	static const char *const made[] = { [SPOOF_ROUTED] = "table ip " SPOOF_TABLE " {",
					    [SPOOF_BRIDGED] = "table bridge " SPOOF_TABLE " {" };

	(void)ctx;
	(void)out;
	if (is_of_another)
		return err_set_errno(err, EPERM, "committing");
	for (size_t f = 0; f < SPOOF_FAMILIES; f++) {
		if (!strstr(commands, made[f]))
			continue;
		kernel.is_there[f] = true;
		kernel.packets[f] = 0;
	}
	return 0;
}

int spoof_tally_read(struct spoof_tally *out, struct err *err)
{
	(void)err;
	*out = kernel;
	return 0;
}

int spoof_tally_read_sources(enum spoof_family family,
			     struct spoof_source out[static SPOOF_SEEN_MAX], size_t *out_n,
			     struct err *err)
{
	(void)err;
	out[0] = (struct spoof_source){ .packets = kernel.packets[family] };
	*out_n = 1;
	return 0;
}

static struct spoof *start(void)
{
	const struct redirect_spec spec = { .metadata_port = 80 };
	const struct redirect_port port = { "veth1",
					    { { [10] = 0xff, [11] = 0xff, 10, 0, 0, 1 } } };
	struct spoof *s;

	kernel = (struct spoof_tally){ 0 };
	is_of_another = false;
	s = spoof_new(&spec, NULL);
	spoof_set_ports(s, &port, 1);
	return s;
}

static uint64_t look(struct spoof *s)
{
	uint64_t packets = 0;

	ck_assert_int_eq(spoof_look(s, &packets, NULL), 0);
	return packets;
}

static uint64_t worst(struct spoof *s)
{
	struct spoof_culprits c;

	ck_assert_int_eq(spoof_culprits(s, &c, NULL), 0);
	return c.n_worst ? c.worst[0].packets : 0;
}

static const enum spoof_family families[] = { SPOOF_ROUTED, SPOOF_BRIDGED };

START_TEST(what_was_dropped_is_told_once)
{
	_cleanup_(spoof_freep) struct spoof *s = start();
	enum spoof_family f = families[_i];

	ck_assert_uint_eq(look(s), 0);
	ck_assert_int_eq(spoof_apply(s, NULL), 0);
	ck_assert_uint_eq(look(s), 0);
	kernel.packets[f] = 3;
	ck_assert_uint_eq(look(s), 3);
	ck_assert_uint_eq(look(s), 0);
	kernel.packets[f] = 5;
	ck_assert_uint_eq(look(s), 2);
}
END_TEST

START_TEST(what_the_agent_before_us_has_dropped_is_not_ours)
{
	_cleanup_(spoof_freep) struct spoof *s = start();
	enum spoof_family f = families[_i];

	is_of_another = true;
	kernel.is_there[f] = true;
	kernel.packets[f] = 1000;
	ck_assert_uint_eq(look(s), 0);
	ck_assert_int_lt(spoof_apply(s, NULL), 0);
	kernel.packets[f] = 1007; /* it tells these itself */
	ck_assert_uint_eq(look(s), 0);
	ck_assert_uint_eq(worst(s), 0);
	/* it ends, and its tables with it */
	is_of_another = false;
	kernel = (struct spoof_tally){ 0 };
	ck_assert_uint_eq(look(s), 0);
	ck_assert_int_eq(spoof_apply(s, NULL), 0);
	kernel.packets[f] = 2;
	ck_assert_uint_eq(look(s), 2);
	ck_assert_uint_eq(worst(s), 2);
}
END_TEST

/* So it is when libnftables has opened its socket anew. */
START_TEST(tables_that_went_are_made_again_and_count_from_nothing)
{
	_cleanup_(spoof_freep) struct spoof *s = start();
	enum spoof_family f = families[_i];

	ck_assert_int_eq(spoof_apply(s, NULL), 0);
	kernel.packets[f] = 9;
	ck_assert_uint_eq(look(s), 9);
	kernel = (struct spoof_tally){ 0 };
	ck_assert_uint_eq(look(s), 0);
	ck_assert_int_eq(spoof_apply(s, NULL), 0);
	ck_assert(kernel.is_there[f]);
	kernel.packets[f] = 4;
	ck_assert_uint_eq(look(s), 4);
}
END_TEST

UNIT_MAIN("spoof", UNIT_LOOP(what_was_dropped_is_told_once, families),
	  UNIT_LOOP(what_the_agent_before_us_has_dropped_is_not_ours, families),
	  UNIT_LOOP(tables_that_went_are_made_again_and_count_from_nothing, families))

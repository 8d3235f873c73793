/* SPDX-License-Identifier: MIT */

/* The table of backends, and the one that does nothing: see backend.h. */

#include "iptables/backend.h"

#include "lib/base/buf.h"
#include "lib/base/mem.h"

#include <stdio.h>
#include <string.h>

/* In the order in which REDIRECT_AUTO tries them. */
static const struct backend *const backends[] = { &nft_backend, &ipt_backend, &none_backend };

const struct backend *backend_choose(enum redirect_backend id, struct err *err)
{
	for (size_t i = 0; i < ARRAY_SIZE(backends); i++) {
		const struct backend *b = backends[i];

		if (id == REDIRECT_AUTO ? !b->automatic : b->id != id)
			continue;
		if (b->probe(err) == 0)
			return b;
	}
	return NULL;
}

enum redirect_backend backend_resolve(enum redirect_backend wanted,
				      char why[static BACKEND_WHY_MAX])
{
	struct err err = { 0 };

	*why = '\0';
	if (wanted != REDIRECT_AUTO)
		return wanted;
	if (nft_backend_try(&err) == 0)
		(void)snprintf(why, BACKEND_WHY_MAX, "nftables works here");
	else if (err.kind == ERR_REFUSED)
		(void)snprintf(why, BACKEND_WHY_MAX, "it cannot be tried: %.100s", err.msg);
	else if (!ipt_backend_can_be())
		(void)snprintf(why, BACKEND_WHY_MAX, "no iptables is installed");
	else {
		(void)snprintf(why, BACKEND_WHY_MAX, "nftables does not work here: %.100s",
			       err.msg);
		return REDIRECT_IPTABLES;
	}
	return REDIRECT_NFT;
}

/* A kernel without nftables has none of its rules; what may not be asked is an error. */
static bool has_nothing(const struct backend *b)
{
	struct err err = { 0 };

	return b->id == REDIRECT_NFT && b->probe(&err) < 0 && err.kind == ERR_UNAVAILABLE;
}

int backend_remove_all(struct err *err)
{
	char left[sizeof(err->msg)] = "";
	size_t n = 0;

	for (size_t i = 0; i < ARRAY_SIZE(backends); i++) {
		struct err why = { 0 };

		if (has_nothing(backends[i]) || backends[i]->remove(&why) == 0)
			continue;
		(void)snprintf(left + n, sizeof(left) - n, "%s%s", n ? "; " : "", why.msg);
		n = strlen(left);
	}
	return n ? err_set(err, ERR_REFUSED, "%s", left) : 0;
}

int backend_list_all(char **out, struct err *err)
{
	struct err why = { 0 };
	struct buf all = { 0 };
	bool known = false;
	char note[ERR_MSG_MAX + 32];

	for (size_t i = 0; i < ARRAY_SIZE(backends); i++) {
		_cleanup_free_ char *text = NULL;
		struct err one = { 0 };

		/* it has no rules, whatever becomes of the others */
		if (backends[i] == &none_backend || has_nothing(backends[i]))
			continue;
		if (backends[i]->list(&text, &one) < 0) {
			(void)snprintf(note, sizeof(note), "# %s: %s\n", backends[i]->name,
				       one.msg);
			buf_put(&all, note, strlen(note));
			why = why.kind ? why : one;
			continue;
		}
		/* who may not look may see nothing */
		known = known || *text;
		buf_put(&all, text, strlen(text));
	}
	if (!known && why.kind) {
		buf_deinit(&all);
		if (err)
			*err = why;
		return -(int)why.kind;
	}
	*out = all.n ? buf_steal(&all, NULL) : xstrdup("");
	return 0;
}

/* none: the network plugin brings the traffic, by Cilium's local redirect policy for one */

static int none_probe(struct err *err)
{
	return 0;
}

static void *none_open(const struct redirect_spec *spec, struct err *err)
{
	return xnew(char);
}

static void none_close(void *state)
{
	free(state);
}

static int none_apply(void *state, struct backend_report *report, struct err *err)
{
	*report = (struct backend_report){
		.text = "no packet rules: the network plugin must redirect pods to the agent",
	};
	return 0;
}

static int none_verify(void *state, bool deleted, enum backend_verdict *out,
		       struct backend_report *report, struct err *err)
{
	*out = BACKEND_SAME;
	return none_apply(state, report, err);
}

static int none_remove(struct err *err)
{
	return 0;
}

static int none_list(char **out, struct err *err)
{
	*out = xstrdup("");
	return 0;
}

const struct backend none_backend = {
	.name = "none",
	.id = REDIRECT_NONE,
	.probe = none_probe,
	.open = none_open,
	.close = none_close,
	.verify = none_verify,
	.apply = none_apply,
	.remove = none_remove,
	.list = none_list,
};

/* SPDX-License-Identifier: MIT */
#pragma once

#include "iptables/redirect.h"

/*
 * A way to put the rules into the kernel. Only the redirector calls these, from its own process, so
 * they may block. `state` is what open() gave. verify() and apply() fill `report` whenever they
 * return 0; its text is then a note for the operator ("" for none), or for BACKEND_ALTERED what is
 * wrong.
 */
struct nft_ctx;

enum backend_verdict { BACKEND_SAME, BACKEND_ALTERED };

struct backend_report {
	enum redirect_protection protection;
	bool waits; /* there are no rules of ours, since another nmi of this node has its own */
	unsigned again_msec; /* not 0: verify() then, since no news will tell of what is awaited */
	char text[sizeof(((struct redirect_status *)0)->why)];
};

struct backend {
	const char *name;
	enum redirect_backend id;
	bool automatic; /* REDIRECT_AUTO may choose it */
	bool events;	/* changes are seen by monitor.h */

	/* Can this kernel do it, with the privileges that we have? */
	int (*probe)(struct err *err);
	void *(*open)(const struct redirect_spec *spec, struct err *err);
	void (*close)(void *state);
	/*
	 * Are the rules those of the last apply()? `deleted`: they are known to be gone, so that there
	 * is no need to look before the next apply().
	 */
	int (*verify)(void *state, bool deleted, enum backend_verdict *out,
		      struct backend_report *report, struct err *err);
	/*
	 * A chain of another program, `rival`, came to stand before ours: the next verify() finds ours
	 * altered, and apply() puts them first again. NULL: cannot be.
	 */
	void (*outranked)(void *state, const char *rival);
	/* Put all rules in place, whatever is there now. */
	int (*apply)(void *state, struct backend_report *report, struct err *err);
	/* Take all rules away, those of earlier runs too. None there is success. */
	int (*remove)(struct err *err);
};

extern const struct backend nft_backend;
extern const struct backend none_backend;

/* The context of nft_backend whose socket owns tables, from what open() gave; borrowed until close(). */
struct nft_ctx *nft_backend_writer(void *state);

/* The backend that was asked for; for REDIRECT_AUTO the first one that works here. */
const struct backend *backend_choose(enum redirect_backend id, struct err *err);
/* Every backend removes what it knows. */
int backend_remove_all(struct err *err);

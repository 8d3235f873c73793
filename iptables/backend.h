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
	bool events;	/* changes are seen by monitor.h, or some are */

	/* Can this kernel do it, with the privileges that we have? */
	int (*probe)(struct err *err);
	void *(*open)(const struct redirect_spec *spec, struct err *err);
	void (*close)(void *state);
	/* All is quiet: give back what the next verify() can have anew. NULL: there is nothing. */
	void (*rest)(void *state);
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
	/*
	 * Take all rules away, those of earlier runs too. None there is success; on failure the message names
	 * what is left, and why.
	 */
	int (*remove)(struct err *err);
	/*
	 * All rules of ours that this backend can have made, as the kernel has them now, with their counters
	 * and comments: heap text for a person, "" if there are none. Needs no open(). What keeps pods from
	 * the metadata service stands in a chain, or a line, with the word `guard` (redirect_listing_guards()).
	 */
	int (*list)(char **out, struct err *err);
	/*
	 * Besides our own tables, does news of this chain in this table of family ip concern it? NULL chain: the
	 * table as a whole. NULL function: nothing else does.
	 */
	bool (*concerns)(const char *table, const char *chain);
};

extern const struct backend nft_backend;
extern const struct backend ipt_backend;
extern const struct backend none_backend;

/* The context of nft_backend whose socket owns tables, from what open() gave; borrowed until close(). */
struct nft_ctx *nft_backend_writer(void *state);
/* The same of what ipt_backend has beside it; NULL: this kernel has no nftables, or not yet. */
struct nft_ctx *ipt_backend_writer(void *state);

/* Does this kernel take the rules of nft_backend? Changes nothing. ERR_UNAVAILABLE: no; ERR_REFUSED: we may not ask. */
int nft_backend_try(struct err *err);
/* Both flavours' rules of ours, as `remove` does it; from how many of them there were some. */
int ipt_backend_remove(unsigned *out_removed, struct err *err);
/* Is a program of iptables installed? */
bool ipt_backend_can_be(void);
/*
 * For REDIRECT_AUTO, as long as all that is needed to find out is permitted: nft where it works, else iptables
 * if it is installed. `why` says what decided.
 */
#define BACKEND_WHY_MAX 160
enum redirect_backend backend_resolve(enum redirect_backend wanted,
				      char why[static BACKEND_WHY_MAX]);

/* The backend that was asked for; for REDIRECT_AUTO the first one that works here. */
const struct backend *backend_choose(enum redirect_backend id, struct err *err);
/* Every backend removes what it knows, even after another has failed; the message then has all failures. */
int backend_remove_all(struct err *err);
/*
 * The rules of every backend, one after the other, as `list` has it. Of one that cannot be asked there
 * is a line that says why, as long as another can be; ERR_OS: none can.
 */
int backend_list_all(char **out, struct err *err);

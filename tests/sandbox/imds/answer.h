/* SPDX-License-Identifier: MIT */
#pragma once

#include "lib/base/hmap.h"
#include "tests/sandbox/imds/conf.h"
#include "tests/sandbox/imds/jwt.h"
#include "tests/sandbox/imds/query.h"

#include <stdbool.h>
#include <stdint.h>

struct ledger;

/*
 * What IMDS answers, without the network: as strict as the real service, so that an agent which passes
 * here has not been helped. Every value of a token answer is a string, as there.
 */
struct imds {
	struct imds_conf *conf;
	const struct jwt_key *key;
	unsigned lifetime_sec; /* of new tokens */
	struct hmap tokens;    /* IMDS has a cache of its own */
	uint64_t minted;
	struct ledger *ledger; /* borrowed; each new token is written there; or NULL */
};

enum imds_area { IMDS_TOKEN, IMDS_INSTANCE, IMDS_OTHER, IMDS_AREAS };

struct imds_ask {
	const char *method;
	const char *target; /* as it came */
	bool metadata;	    /* the header Metadata is there once and says exactly true */
	bool forwarded;	    /* X-Forwarded-For, however it is spelt */
	int64_t now;
};

struct imds_answer {
	unsigned status;
	const char *type;
	const char *allow; /* or NULL */
	char *body;	   /* on the heap */
};

enum imds_area imds_area(const char *path);
extern const char *const imds_area_names[IMDS_AREAS];
void imds_answer(struct imds *s, const struct imds_ask *ask, struct imds_answer *out);
/* {"error": code, "error_description": text} */
void imds_answer_error(struct imds_answer *out, unsigned status, const char *code,
		       const char *text);
void imds_forget_tokens(struct imds *s);

/* instance.c */
void imds_answer_instance(const struct imds_conf *c, const struct query *q,
			  struct imds_answer *out);
void imds_answer_json(struct imds_answer *out, unsigned status, json_t *take);

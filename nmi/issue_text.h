/* SPDX-License-Identifier: MIT */
#pragma once

#include "mic-client/match.h"
#include "nmi/reason.h"

#include <stdbool.h>

struct inet_ip;
struct issue_answer;
struct issue_request;
struct pod;
struct token_failure;

/* Nothing known, and refused for REASON_INTERNAL. */
void issue_answer_init(struct issue_answer *a);

/*
 * The words of a refusal. Each names the object, the reason and the next step, and never contains
 * "unreachable", which some SDKs take for "there is no metadata service here".
 */
void issue_refuse(struct issue_answer *a, enum reason reason, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));
void issue_refuse_overloaded(struct issue_answer *a, const char *what);
void issue_refuse_unknown(struct issue_answer *a, const struct issue_request *req);
/* False: a pod may have this address, look for it. */
bool issue_refuse_source(struct issue_answer *a, const struct inet_ip *peer);
/* False: a token of this identity can be asked for. */
bool issue_refuse_identity(struct issue_answer *a, const struct pod *pod,
			   const struct azure_identity *identity);
void issue_refuse_unsynced(struct issue_answer *a, const struct pod *pod);
void issue_refuse_failure(struct issue_answer *a, const struct pod *pod,
			  const struct azure_identity *identity, const struct token_failure *fail);
enum reason issue_reason_of_match(enum match_result r);

/* SPDX-License-Identifier: MIT */
#pragma once

#include "nmi/reason.h"

#include <stdbool.h>
#include <stddef.h>

struct issue_answer;

/*
 * Refusals as Azure SDKs read them: the status and the error of a reason, and the JSON body. Pure.
 * The rows are nmi/reasons.def; why they are what they are: docs, "Errors".
 */
struct refusal {
	enum reason reason;
	const char *text;  /* for a person: what is wrong, with which object, what to do */
	const char *error; /* NULL or "": the reason's */
	const struct upstream_trace *trace; /* or NULL */
	unsigned retry_after_sec;	    /* 0: the reason's; ignored where a retry cannot help */
	const char *id;			    /* of the request; NULL: left out */
	const char *client_request_id;	    /* NULL or "": left out */
	const char *allow;		    /* with REASON_METHOD: the methods that would do */
	const char *namespace;		    /* of the pod, for metrics; NULL: not known */
	bool close;
	/* What nobody is answered, for the log and the audit log; NULL: not known. */
	const struct issue_answer *answer;
	const char *resource;
	bool is_reported; /* the id was told elsewhere: to be logged whatever was logged lately */
};

unsigned reply_status(enum reason r);
const char *reply_code(enum reason r);
/* In seconds; 0: no Retry-After. Only where the reason itself has one, or is IMDS's 410. */
unsigned reply_retry_after(const struct refusal *why);
/*
 * {"error", "error_description", then "reason", "correlation_id", "correlationId",
 * "client_request_id", and of an upstream that refused "error_codes", "trace_id", "timestamp" and
 * "upstream_correlation_id"; correlation_id is the one that log and Event have}, on the heap. A missing
 * Metadata header is answered with exactly IMDS's two.
 */
char *reply_body(const struct refusal *why, size_t *out_len);

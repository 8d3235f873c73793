/* SPDX-License-Identifier: MIT */
#pragma once

#include <jansson.h>
#include <stdbool.h>

struct api;
struct reply;
struct req;

/*
 * What tests may do to the server, by requests of a user of the group system:masters:
 *
 *	POST /_sandbox/compact			the past is forgotten: older versions get 410
 *	POST /_sandbox/close-watches		all watches end in good order
 *	POST /_sandbox/close-watches?abort=1	their connections break
 *	POST /_sandbox/delay?msec=N		watch events are held back so long; 0 ends it
 *	POST /_sandbox/fail?status=S&count=N	the next N requests get a Status of that code
 *	POST /_sandbox/forbid?resource=PLURAL	nobody but system:masters has a right to these; ?on=0 ends it;
 *						&verbs=list,watch: only not to these verbs
 *	POST /_sandbox/drop			answer nothing at all any more, watches included ...
 *	POST /_sandbox/drop?on=0		... until this
 *	POST /_sandbox/bookmark			a bookmark to every watch that allows them, now
 *	POST /_sandbox/watchlist?on=0|1		is streaming of initial lists on offer
 *	POST /_sandbox/overtake			before the next patch of a node it gets the body of this
 *						request as a merge patch: somebody else was faster
 *	POST /_sandbox/expire			all tokens are refused; ?on=0 ends it
 *	GET  /_sandbox/stats			counters, as JSON
 *
 * Requests under /_sandbox/ are themselves not subject to any fault.
 */
struct fault {
	unsigned delay_msec;
	int fail_status;
	unsigned fail_count;
	bool drop;
	bool expired;		  /* tokens */
	char forbidden[64];	  /* a resource's plural; "": none */
	char forbidden_verbs[64]; /* "": all */
	json_t *overtaking;	  /* a merge patch, or NULL */
};

bool fault_is_dropping(const struct fault *f);
bool fault_forbids(const struct fault *f, const char *plural, const char *verb);
/* Takes one of the failures that were ordered; 0 when there is none. */
int fault_take_failure(struct fault *f);
void fault_handle(struct api *api, const struct req *req, struct reply *reply);

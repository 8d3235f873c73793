/* SPDX-License-Identifier: MIT */
#pragma once

#include "tests/sandbox/apiserver/kind.h"

struct api;
struct reply;
struct req;

/* The verbs over one object: what a path names, and what is done to it. */
struct target {
	struct kind *kind;
	const char *ns;	  /* "": all, or cluster-wide */
	const char *name; /* "": the collection */
	const char *sub;  /* the subresource, or "" */
};

void rest_get(struct api *api, const struct req *req, const struct target *t, struct reply *reply);
void rest_create(struct api *api, const struct req *req, const struct target *t,
		 struct reply *reply);
void rest_update(struct api *api, const struct req *req, const struct target *t,
		 struct reply *reply);
void rest_patch(struct api *api, const struct req *req, const struct target *t,
		struct reply *reply);
/* pods/NAME/binding: gives the pod to a node. */
void rest_bind(struct api *api, const struct req *req, const struct target *t, struct reply *reply);

/* The object of a body, of whatever kind, or a Status in *out_problem. */
json_t *rest_decode(const struct req *req, const char *kind, json_t **out_problem);
/* Creates what `obj` says: for objects that come with the server. */
json_t *rest_create_object(struct api *api, struct kind *k, json_t *obj_take);

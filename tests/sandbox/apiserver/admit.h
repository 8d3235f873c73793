/* SPDX-License-Identifier: MIT */
#pragma once

#include "tests/sandbox/apiserver/kind.h"

struct api;

/*
 * What stands between a request and the store: defaults, validation, and what the admission plugins of a
 * stock cluster do. Each function returns NULL, or a Status that the caller owns. `obj` is completed
 * in place; paths of members that were dropped are appended to `unknown`.
 */
json_t *admit_create(struct api *api, const struct kind *k, json_t *obj, const char *ns,
		     json_t *unknown);
/* `sub` is "" or "status": what the other one owns is taken over from `old`. */
json_t *admit_update(struct api *api, const struct kind *k, json_t *obj, const json_t *old,
		     const char *sub, json_t *unknown);

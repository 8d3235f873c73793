/* SPDX-License-Identifier: MIT */
#pragma once

#include "tests/sandbox/apiserver/rest.h"

/*
 * Deletion: at once; after its finalizers are gone; for pods, after the time their containers take to
 * stop, which a "reaper" plays the kubelet for; for namespaces, after all that is in them.
 */
struct reaper;

struct reaper *reaper_new(struct api *api);
struct reaper *reaper_free(struct reaper *r);

void rest_delete(struct api *api, const struct req *req, const struct target *t,
		 struct reply *reply);

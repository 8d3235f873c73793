/* SPDX-License-Identifier: MIT */
#pragma once

struct api;
struct reply;
struct req;

/* /api, /apis, /version and what hangs below them, in the form that every kubectl falls back to. */
void discovery_versions(const struct api *api, struct reply *reply); /* /api */
void discovery_groups(const struct api *api, struct reply *reply);   /* /apis */
void discovery_group(const struct api *api, const char *group, struct reply *reply);
/* False, and no answer, if there is no such group and version. */
int discovery_resources(const struct api *api, const char *group, const char *version,
			struct reply *reply);
void discovery_version(struct reply *reply);

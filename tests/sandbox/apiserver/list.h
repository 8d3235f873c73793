/* SPDX-License-Identifier: MIT */
#pragma once

struct api;
struct kind;
struct reply;
struct req;

/* Many objects at once: lists (whole, in pages, as of a version), and watches. `ns` "" is all of them. */
void list_handle(struct api *api, const struct req *req, struct kind *k, const char *ns,
		 struct reply *reply);

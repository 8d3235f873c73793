/* SPDX-License-Identifier: MIT */
#pragma once

#include <jansson.h>

/*
 * The three kinds of patch. Each returns a new document, sharing nothing that a change could reach, or
 * NULL with a Status in *out_problem that the caller owns.
 */
json_t *patch_merge(const json_t *doc, const json_t *patch); /* RFC 7386; cannot fail */
json_t *patch_json(const json_t *doc, const json_t *patch, json_t **out_problem); /* RFC 6902 */
/* Kubernetes' own: as a merge, but lists of objects are merged by the key that the field's name says. */
json_t *patch_strategic(const json_t *doc, const json_t *patch, json_t **out_problem);

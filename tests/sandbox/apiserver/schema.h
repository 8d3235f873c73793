/* SPDX-License-Identifier: MIT */
#pragma once

#include <jansson.h>

/* Custom resources against the openAPIV3Schema of their definition. */

/* Removes what the schema does not know (but the type and metadata at the top); dotted paths of it are
 * appended to `unknown`. */
void schema_prune(const json_t *schema, json_t *obj, json_t *unknown);
/* Fills in `default`s. */
void schema_default(const json_t *schema, json_t *obj);
/* Appends a cause for each violation, in the words of the real server. */
void schema_validate(const json_t *schema, const json_t *obj, json_t *causes);

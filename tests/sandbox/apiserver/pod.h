/* SPDX-License-Identifier: MIT */
#pragma once

#include <jansson.h>
#include <stdbool.h>

/* What is particular to pods: defaults, what must be there, what cannot change. */
void pod_default(json_t *pod);
void pod_init_status(json_t *pod); /* of a new pod: Pending */
void pod_validate(const json_t *pod, json_t *causes);
void pod_validate_update(const json_t *pod, const json_t *old, json_t *causes);
/* Has it ended, or never been given to a node? Then nothing needs time to stop. */
bool pod_is_idle(const json_t *pod);

/* SPDX-License-Identifier: MIT */
#pragma once

#include <jansson.h>

/* What is particular to nodes: their taints. */
void node_tidy(json_t *node);
void node_validate(const json_t *node, json_t *causes);

/* SPDX-License-Identifier: MIT */
#pragma once

#include "iptables/redirect.h"

/*
 * End the kernel's memory of connections to the metadata service that do not go to the agent of
 * `spec`: they were made before the redirect, or towards an earlier one. Blocks for as long as the
 * kernel takes to list its connections.
 */
int conntrack_delete_stale(const struct redirect_spec *spec, unsigned *out_deleted,
			   struct err *err);

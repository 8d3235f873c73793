/* SPDX-License-Identifier: MIT */

/* For conntrack.sh: conntrack-delete AGENT_IP PORT says how many flows were stale. */

#include "iptables/conntrack.h"

#include <stdio.h>

int main(int argc, char **argv)
{
	struct redirect_spec spec = { .metadata_port = 80 };
	struct err err = { 0 };
	unsigned deleted = 0;

	if (argc != 3)
		return 2;
	spec.agent_port = (uint16_t)strtoul(argv[2], NULL, 10);
	if (inet_ip_parse("169.254.169.254", &spec.metadata_ip, &err) < 0 ||
	    inet_ip_parse(argv[1], &spec.agent_ip, &err) < 0 ||
	    conntrack_delete_stale(&spec, &deleted, &err) < 0) {
		(void)fprintf(stderr, "%s\n", err.msg);
		return 1;
	}
	(void)printf("%u\n", deleted);
	return 0;
}

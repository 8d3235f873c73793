/* SPDX-License-Identifier: MIT */

/* A listing of iptables-save holds whatever others wrote into it. */

#include "iptables/ipt_rules.h"
#include "lib/base/mem.h"
#include "tests/fuzz/fuzz.h"

#include <assert.h>
#include <string.h>

static int look_at(const char *p, size_t size, struct ipt_look *l)
{
	while (size) {
		const char *end = memchr(p, '\n', size);
		size_t n = end ? (size_t)(end - p) : size;

		ipt_look_line(l, (struct str){ p, n });
		n += end != NULL;
		p += n;
		size -= n;
	}
	return ipt_look_end(l, NULL);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct redirect_spec spec = { .metadata_port = 80, .agent_port = 2579 };
	_cleanup_(ipt_look_deinit) struct ipt_look l = { 0 };
	_cleanup_(buf_deinit) struct buf listed = { 0 };
	_cleanup_free_ char *text = NULL;
	_cleanup_free_ char *removal = NULL;
	char why[IPT_WHY_MAX] = "";
	unsigned altered;

	(void)inet_ip_parse("169.254.169.254", &spec.metadata_ip, NULL);
	(void)inet_ip_parse("10.240.0.4", &spec.agent_ip, NULL);
	(void)look_at((const char *)data, size, &l);
	altered = ipt_look_judge(&l, &spec, why);
	assert(!altered == !*why && !(altered & ~IPT_ALL_TABLES));
	for (const char *p = why; *p; p++)
		assert(*p >= 0x20 && *p < 0x7f);
	text = ipt_rules_print(&spec, &l, IPT_ALL_TABLES);
	removal = ipt_rules_print_removal(&l);
	ipt_look_print(&l, &listed);
	/* each of our chains is declared once, and jumped to from the first place of its hook */
	assert(strstr(text, "*filter\n:nmi-guard - [0:0]\n:nmi-agent-port - [0:0]\n"));
	assert(strstr(text, "\n-I FORWARD 1 ") && strstr(text, "\n-I INPUT 1 ") &&
	       strstr(text, "\n-I PREROUTING 1 -j aad-metadata\n"));
	assert(ipt_look_has_ours(&l) == (removal != NULL));
	assert(!(ipt_look_has_ours(&l) && ipt_look_has_old(&l)));
	return 0;
}

/* SPDX-License-Identifier: MIT */

/* Prints what nmi asks the API server with its default settings: the policy of deploy/policy is tried with it. */

#include "lib/base/mem.h"
#include "nmi/config.h"
#include "nmi/token/account_token.h"
#include "nmi/token/source.h"

#include <stdio.h>

int main(int argc, char **argv)
{
	struct nmi_config config;
	enum opt_result what;
	struct err err = { 0 };
	size_t n;

	if (argc != 3 || opt_parse(&nmi_options, &config, 1, argv, &what, &err) < 0) {
		(void)fprintf(stderr, "usage: token-request POD UID\n%s\n", err.msg);
		return EXIT_FAILURE;
	}
	const struct token_pod pod = { .name = argv[1], .uid = argv[2] };
	_cleanup_free_ char *body = account_token_request(&pod, config.federation_audience, &n);

	return fwrite(body, 1, n, stdout) == n && puts("") >= 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}

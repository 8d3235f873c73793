/* SPDX-License-Identifier: MIT */

/* Pods: whatever is accepted keeps what pod.h promises and goes through the store. */

#include "lib/base/jval.h"
#include "mic-client/crd.h"
#include "nmi/pods/pod.h"
#include "nmi/pods/store.h"
#include "tests/fuzz/fuzz.h"

#include <string.h>

static void require(int holds)
{
	if (!holds)
		abort();
}

static void require_ips(const struct pod *p)
{
	for (size_t i = 0; i < p->n_ips; i++) {
		require(!inet_ip_is_loopback(&p->ips[i]) && !inet_ip_is_unspecified(&p->ips[i]));
		for (size_t k = 0; k < i; k++)
			require(!inet_ip_eq(&p->ips[i], &p->ips[k]));
	}
}

static void require_stored(struct pod *p)
{
	_cleanup_(pod_store_freep) struct pod_store *s = pod_store_new();
	const struct pod *found = NULL;

	pod_store_put_take(s, pod_ref(p));
	require(pod_store_find_uid(s, p->uid) == p);
	for (size_t i = 0; i < p->n_ips; i++) {
		enum pod_lookup r = pod_store_find_ip(s, &p->ips[i], &found);

		require(r == (pod_is_active(p) ? POD_FOUND : POD_NONE));
		require(r != POD_FOUND || found == p);
	}
	pod_store_remove(s, p->uid);
	require(pod_store_count(s) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	_cleanup_(jval_freep) struct jval *doc = jval_parse((const char *)data, size, 1 << 20,
							    NULL);
	_cleanup_(pod_unrefp) struct pod *p = NULL;
	struct err err = { 0 };

	if (!doc)
		return 0;
	p = pod_parse(doc, &err);
	if (!p) {
		require(err.kind == ERR_INPUT && err.msg[0]);
		return 0;
	}
	require(err.kind == ERR_NONE && p->refs == 1);
	require(*p->uid && *p->namespace && *p->name && *p->service_account);
	for (const char *l = p->labels; *l; l = label_next(l))
		require(labels_find(p->labels, l) == label_value(l)); /* keys are unique */
	require(!pod_is_active(p) || (!p->host_network && !p->terminated));
	require_ips(p);
	require_stored(p);
	return 0;
}

/* SPDX-License-Identifier: MIT */

/*
 * A pod, reduced to what is used: see pod.h.
 *
 * Memory counts, as a node may have thousands of pods: each is one block, of the struct, its IPs and the text.
 */

#include "nmi/pods/pod.h"

#include "lib/base/jval.h"
#include "lib/base/mem.h"
#include "lib/base/str.h"
#include "mic-client/crd.h"

#include <string.h>
#include <time.h>

/* Kubernetes gives a pod one address of each family; more than a few is no pod that we understand. */
#define IPS_MAX 8
/* Of most pods, so it is not in their blocks. */
#define DEFAULT_ACCOUNT "default"

struct pod_view {
	const char *uid, *namespace, *name, *service_account, *deleted, *phase, *ip, *started;
	const struct jval *labels, *ips, *containers, *statuses, *inits, *ephemerals;
	bool host_network;
};

static int read_view(const struct jval *obj, struct pod_view *v, struct err *err)
{
	const struct jval_field fields[] = {
		{ "metadata.uid", JVAL_STR, JVAL_MUST, &v->uid },
		{ "metadata.namespace", JVAL_STR, JVAL_MUST, &v->namespace },
		{ "metadata.name", JVAL_STR, JVAL_MUST, &v->name },
		{ "metadata.deletionTimestamp", JVAL_STR, JVAL_MAY, &v->deleted },
		{ "metadata.labels", JVAL_OBJ, JVAL_MAY, &v->labels },
		{ "spec.serviceAccountName", JVAL_STR, JVAL_MAY, &v->service_account },
		{ "spec.hostNetwork", JVAL_BOOL, JVAL_MAY, &v->host_network },
		{ "spec.containers", JVAL_ARR, JVAL_MAY, &v->containers },
		{ "status.phase", JVAL_STR, JVAL_MAY, &v->phase },
		{ "status.startTime", JVAL_STR, JVAL_MAY, &v->started },
		{ "status.podIP", JVAL_STR, JVAL_MAY, &v->ip },
		{ "status.podIPs", JVAL_ARR, JVAL_MAY, &v->ips },
		{ "status.containerStatuses", JVAL_ARR, JVAL_MAY, &v->statuses },
		{ "status.initContainerStatuses", JVAL_ARR, JVAL_MAY, &v->inits },
		{ "status.ephemeralContainerStatuses", JVAL_ARR, JVAL_MAY, &v->ephemerals },
	};
	int r = jval_read(obj, fields, ARRAY_SIZE(fields), JVAL_CASE_EXACT, err);

	if (r < 0)
		return r;
	/* what the API server writes there itself, but into the pods that mirror a kubelet's static ones */
	if (!v->service_account || !*v->service_account)
		v->service_account = DEFAULT_ACCOUNT;
	if (!*v->uid)
		return err_set(err, ERR_INPUT, "metadata.uid is empty");
	if (!*v->namespace)
		return err_set(err, ERR_INPUT, "metadata.namespace is empty");
	if (!*v->name)
		return err_set(err, ERR_INPUT, "metadata.name is empty");
	return 0;
}

/* addresses */

struct ip_set {
	struct inet_ip ip[IPS_MAX];
	size_t n;
};

static int add_ip(struct ip_set *set, const char *text, struct err *err)
{
	struct inet_ip ip;
	int r = inet_ip_parse(text, &ip, err);

	if (r < 0)
		return r;
	/* a pod that could claim these would be taken for the node's own processes, or for everybody */
	if (inet_ip_is_loopback(&ip) || inet_ip_is_unspecified(&ip))
		return err_set(err, ERR_INPUT, "%.64s is no address of a pod", text);
	for (size_t i = 0; i < set->n; i++) {
		if (inet_ip_eq(&set->ip[i], &ip))
			return 0; /* the pod would be in conflict with itself */
	}
	if (set->n == IPS_MAX)
		return err_set(err, ERR_INPUT, "more than %d addresses", IPS_MAX);
	set->ip[set->n++] = ip;
	return 0;
}

static int read_ips(const struct pod_view *v, struct ip_set *set, struct err *err)
{
	size_t n = jval_len(v->ips);

	for (size_t i = 0; i < n; i++) {
		const char *text = NULL;
		const struct jval_field field = { "ip", JVAL_STR, JVAL_MUST, &text };

		if (jval_read(jval_at(v->ips, i), &field, 1, JVAL_CASE_EXACT, err) < 0 ||
		    add_ip(set, text, err) < 0)
			return err_wrap(err, "status.podIPs[%zu]", i);
	}
	/* "" is how the API server's older clients say "none yet" */
	if (n == 0 && v->ip && *v->ip && add_ip(set, v->ip, err) < 0)
		return err_wrap(err, "status.podIP");
	return 0;
}

/* times */

/*
 * As Kubernetes writes them (metav1.Time: RFC 3339, UTC, whole seconds). What is written otherwise is not
 * known: 0, which nobody gains by (unclaimed.c).
 */
static struct wall32 read_time(const char *text)
{
	struct tm tm = { 0 };
	const char *end = text ? strptime(text, "%Y-%m-%dT%H:%M:%SZ", &tm) : NULL;
	time_t s = end && !*end ? timegm(&tm) : 0;

	return (struct wall32){ s > 0 && s <= UINT32_MAX ? (uint32_t)s : 0 };
}

/* containers */

enum container_state { CONTAINER_WAITING, CONTAINER_RUNNING, CONTAINER_ENDED };

static int read_state(const struct jval *status, enum container_state *out, struct wall32 *ran,
		      struct err *err)
{
	const struct jval *running = NULL, *terminated = NULL;
	const char *started[2] = { NULL };
	const struct jval_field fields[] = {
		{ "state.running", JVAL_OBJ, JVAL_MAY, &running },
		{ "state.terminated", JVAL_OBJ, JVAL_MAY, &terminated },
		{ "state.running.startedAt", JVAL_STR, JVAL_MAY, &started[0] },
		{ "state.terminated.startedAt", JVAL_STR, JVAL_MAY, &started[1] },
	};
	int r = jval_read(status, fields, ARRAY_SIZE(fields), JVAL_CASE_EXACT, err);

	if (r < 0)
		return r;
	*out = running ? CONTAINER_RUNNING : terminated ? CONTAINER_ENDED : CONTAINER_WAITING;
	for (size_t i = 0; i < ARRAY_SIZE(started); i++) {
		struct wall32 at = read_time(started[i]);

		if (at.s > ran->s)
			*ran = at;
	}
	return 0;
}

struct tally {
	size_t waiting, running, ended;
	struct wall32 *ran;
};

static int count_states(const struct jval *statuses, const char *what, struct tally *t,
			struct err *err)
{
	for (size_t i = 0; i < jval_len(statuses); i++) {
		enum container_state state;

		if (read_state(jval_at(statuses, i), &state, t->ran, err) < 0)
			return err_wrap(err, "status.%s[%zu]", what, i);
		switch (state) {
		case CONTAINER_WAITING:
			t->waiting++;
			break;
		case CONTAINER_RUNNING:
			t->running++;
			break;
		case CONTAINER_ENDED:
			t->ended++;
			break;
		}
	}
	return 0;
}

/*
 * Has every container ended? Only then can the network have been taken down while the object still
 * says Running. Containers without a status yet have not, nor has a pod whose init container, sidecar
 * or debug container still runs. A debug container that waits is not counted: one whose image cannot be
 * pulled waits for ever, and the pod is gone all the same.
 */
static int read_terminated(const struct pod_view *v, bool *out, struct wall32 *ran, struct err *err)
{
	struct tally main = { .ran = ran }, init = { .ran = ran }, debug = { .ran = ran };

	if (count_states(v->statuses, "containerStatuses", &main, err) < 0 ||
	    count_states(v->inits, "initContainerStatuses", &init, err) < 0 ||
	    count_states(v->ephemerals, "ephemeralContainerStatuses", &debug, err) < 0)
		return -ERR_INPUT;
	*out = main.ended > 0 && main.ended >= jval_len(v->containers) && main.waiting == 0 &&
	       main.running + init.running + debug.running == 0 && init.waiting == 0;
	return 0;
}

static enum pod_phase read_phase(const char *text)
{
	static const char *const names[] = {
		[POD_PENDING] = "Pending",
		[POD_RUNNING] = "Running",
		[POD_SUCCEEDED] = "Succeeded",
		[POD_FAILED] = "Failed",
	};

	for (unsigned i = 0; text && i < ARRAY_SIZE(names); i++) {
		if (strcmp(text, names[i]) == 0)
			return i;
	}
	return POD_UNKNOWN_PHASE;
}

/* the block */

static char *put(char **at, const char *text, size_t n)
{
	char *to = *at;

	memcpy(to, text, n);
	*at += n;
	return to;
}

static size_t size_of(const char *s)
{
	return strlen(s) + 1;
}

static char *put_string(char **at, const char *s)
{
	return put(at, s, size_of(s));
}

static struct pod *make_pod(const struct pod_view *v, const struct ip_set *ips, const char *labels,
			    size_t labels_size)
{
	bool is_default = strcmp(v->service_account, DEFAULT_ACCOUNT) == 0;
	struct pod *p = xcalloc(1, sizeof(*p) + ips->n * sizeof(p->ips[0]) + size_of(v->uid) +
					   size_of(v->namespace) + size_of(v->name) +
					   (is_default ? 0 : size_of(v->service_account)) +
					   labels_size);
	char *at = (char *)(p->ips + ips->n);

	p->refs = 1;
	p->n_ips = (unsigned char)ips->n;
	memcpy(p->ips, ips->ip, ips->n * sizeof(p->ips[0]));
	p->uid = put_string(&at, v->uid);
	p->namespace = put_string(&at, v->namespace);
	p->name = put_string(&at, v->name);
	p->service_account = is_default ? DEFAULT_ACCOUNT : put_string(&at, v->service_account);
	p->labels = put(&at, labels, labels_size);
	p->phase = read_phase(v->phase);
	p->host_network = v->host_network;
	p->deleting = v->deleted != NULL;
	return p;
}

struct pod *pod_parse(const struct jval *obj, struct err *err)
{
	struct pod_view v = { 0 };
	struct ip_set ips = { 0 };
	_cleanup_free_ char *labels = NULL;
	size_t labels_size;
	bool terminated = false;
	struct wall32 ran = { 0 };
	struct pod *p;

	if (read_view(obj, &v, err) < 0 || read_ips(&v, &ips, err) < 0 ||
	    read_terminated(&v, &terminated, &ran, err) < 0)
		return NULL;
	labels = labels_parse(v.labels, &labels_size, err);
	if (!labels) {
		(void)err_wrap(err, "metadata.labels");
		return NULL;
	}
	p = make_pod(&v, &ips, labels, labels_size);
	p->terminated = terminated;
	p->started = read_time(v.started);
	p->ran = ran;
	return p;
}

struct pod *pod_ref(const struct pod *p)
{
	struct pod *same = (void *)(uintptr_t)p; /* the count is not part of its value */

	same->refs++;
	return same;
}

struct pod *pod_unref(struct pod *p)
{
	if (p && --p->refs == 0)
		free(p);
	return NULL;
}

bool pod_has_ended(const struct pod *p)
{
	return (p->phase != POD_PENDING && p->phase != POD_RUNNING) || p->terminated;
}

bool pod_is_active(const struct pod *p)
{
	return !pod_has_ended(p) && !p->host_network;
}

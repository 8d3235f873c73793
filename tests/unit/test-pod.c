/* SPDX-License-Identifier: MIT */

#include "lib/base/jval.h"
#include "lib/base/mem.h"
#include "mic-client/crd.h"
#include "nmi/pods/pod.h"
#include "tests/unit/recorded.h"
#include "tests/unit/unit.h"

#include <string.h>

#define META "\"metadata\":{\"uid\":\"u\",\"namespace\":\"my-app\",\"name\":\"demo\"}"

static struct pod *parse(const char *text, struct err *err)
{
	_cleanup_(jval_freep) struct jval *doc = jval_parse(text, strlen(text), 1 << 20, NULL);

	ck_assert_msg(doc != NULL, "%s", text);
	return pod_parse(doc, err);
}

/* A pod with this spec and status, as JSON. */
static struct pod *pod_with(const char *spec, const char *status)
{
	_cleanup_free_ char *text = xasprintf("{" META ",\"spec\":%s,\"status\":%s}", spec, status);
	struct err err = { 0 };
	struct pod *p = parse(text, &err);

	ck_assert_msg(p != NULL, "%s: %s", err.msg, text);
	return p;
}

static const char *ip_of(const struct pod *p, size_t i)
{
	static char text[INET_IP_TEXT_MAX];

	return inet_ip_print(&p->ips[i], text);
}

START_TEST(a_recorded_pod_is_read)
{
	_cleanup_(pod_unrefp) struct pod *p = parse(recorded_pod, NULL);

	ck_assert_ptr_nonnull(p);
	ck_assert_str_eq(p->uid, "ca7af12c-398f-460f-8acb-b85f08d8419f");
	ck_assert_str_eq(p->namespace, "my-app");
	ck_assert_str_eq(p->name, "demo");
	ck_assert_str_eq(p->service_account, "demo-sa");
	ck_assert_str_eq(labels_find(p->labels, "aadpodidbinding"), "my-pod-identity");
	ck_assert_str_eq(label_next(label_next(p->labels)), ""); /* of two */
	ck_assert_uint_eq(p->n_ips, 1);
	ck_assert_str_eq(ip_of(p, 0), "10.244.0.5");
	ck_assert_int_eq(p->phase, POD_RUNNING);
	ck_assert(!p->host_network && !p->terminated && !p->deleting);
	ck_assert(pod_is_active(p));
}
END_TEST

START_TEST(a_pod_without_spec_and_status_is_no_claimant)
{
	_cleanup_(pod_unrefp) struct pod *p = parse("{" META "}", NULL);

	ck_assert_ptr_nonnull(p);
	ck_assert_uint_eq(p->n_ips, 0);
	ck_assert_str_eq(p->labels, "");
	ck_assert_str_eq(p->service_account, "default");
	ck_assert_int_eq(p->phase, POD_UNKNOWN_PHASE);
	ck_assert(!pod_is_active(p));
}
END_TEST

static const struct {
	const char *status;
	size_t n;
	const char *first, *last;
} addresses[] = {
	{ "{}", 0, "", "" },
	{ "{\"podIP\":\"\"}", 0, "", "" },
	{ "{\"podIP\":null,\"podIPs\":null}", 0, "", "" },
	{ "{\"podIP\":\"10.0.0.1\"}", 1, "10.0.0.1", "10.0.0.1" },
	{ "{\"podIP\":\"10.0.0.1\",\"podIPs\":[]}", 1, "10.0.0.1", "10.0.0.1" },
	{ "{\"podIP\":\"10.0.0.1\",\"podIPs\":[{\"ip\":\"10.0.0.1\"},{\"ip\":\"fd00::1\"}]}", 2,
	  "10.0.0.1", "fd00::1" },
	{ "{\"podIPs\":[{\"ip\":\"fd00::1\"},{\"ip\":\"10.0.0.1\"}]}", 2, "fd00::1", "10.0.0.1" },
	{ "{\"podIPs\":[{\"ip\":\"10.0.0.1\"},{\"ip\":\"::ffff:10.0.0.1\"}]}", 1, "10.0.0.1",
	  "10.0.0.1" },
};

START_TEST(addresses_are_read_each_once)
{
	_cleanup_(pod_unrefp) struct pod *p = pod_with("{}", addresses[_i].status);

	ck_assert_uint_eq(p->n_ips, addresses[_i].n);
	if (p->n_ips) {
		ck_assert_str_eq(ip_of(p, 0), addresses[_i].first);
		ck_assert_str_eq(ip_of(p, p->n_ips - 1), addresses[_i].last);
	}
}
END_TEST

#define RUNNING "{\"state\":{\"running\":{\"startedAt\":\"2026-01-01T00:00:00Z\"}}}"
#define WAITING                                                                                    \
	"{\"state\":{\"waiting\":{\"reason\":\"CrashLoopBackOff\"}},\"lastState\":{"               \
	"\"terminated\":{}}}"
#define ENDED	   "{\"state\":{\"terminated\":{\"exitCode\":0}}}"
#define STATELESS  "{\"name\":\"main\"}"
#define ONE	   "{\"containers\":[{\"name\":\"a\"}]}"
#define TWO	   "{\"containers\":[{\"name\":\"a\"},{\"name\":\"b\"}]}"
#define HOST	   "{\"hostNetwork\":true,\"containers\":[{\"name\":\"a\"}]}"
#define RUN(...)   "{\"phase\":\"Running\"" __VA_ARGS__ "}"
#define MAIN(list) ",\"containerStatuses\":[" list "]"
#define INIT(list) ",\"initContainerStatuses\":[" list "]"
#define DBG(list)  ",\"ephemeralContainerStatuses\":[" list "]"

static const struct {
	const char *name, *spec, *status;
	bool active;
} lives[] = {
	{ "pending", ONE, "{\"phase\":\"Pending\"}", true },
	{ "running", ONE, "{\"phase\":\"Running\"}", true },
	{ "succeeded", ONE, "{\"phase\":\"Succeeded\"}", false },
	{ "failed", ONE, "{\"phase\":\"Failed\"}", false },
	{ "phase unknown", ONE, "{\"phase\":\"Unknown\"}", false },
	{ "a phase of the future", ONE, "{\"phase\":\"Paused\"}", false },
	{ "phase in another case", ONE, "{\"phase\":\"running\"}", false },
	{ "on the host's network", HOST, "{\"phase\":\"Running\"}", false },
	{ "the container runs", ONE, RUN(MAIN(RUNNING)), true },
	{ "the container has ended", ONE, RUN(MAIN(ENDED)), false },
	{ "the container waits to be started again", ONE, RUN(MAIN(WAITING)), true },
	{ "a status without a state is one that waits", ONE, RUN(MAIN(STATELESS)), true },
	{ "an empty state too", ONE, RUN(MAIN("{\"state\":{}}")), true },
	{ "one of two has ended", TWO, RUN(MAIN(ENDED "," RUNNING)), true },
	{ "both have ended", TWO, RUN(MAIN(ENDED "," ENDED)), false },
	{ "one has ended, the other has no status yet", TWO, RUN(MAIN(ENDED)), true },
	{ "no statuses", TWO, RUN(MAIN("")), true },
	{ "an init container runs", ONE, "{\"phase\":\"Pending\"" INIT(RUNNING) MAIN(WAITING) "}",
	  true },
	{ "an init container has ended, the others wait", ONE,
	  "{\"phase\":\"Pending\"" INIT(ENDED) MAIN(WAITING) "}", true },
	{ "all have ended", ONE, RUN(INIT(ENDED) MAIN(ENDED)), false },
	{ "a sidecar still runs", ONE, RUN(INIT(RUNNING) MAIN(ENDED)), true },
	{ "a sidecar is to be started again", ONE, RUN(INIT(WAITING) MAIN(ENDED)), true },
	{ "a debug container still runs", ONE, RUN(DBG(RUNNING) MAIN(ENDED)), true },
	{ "a debug container that never started", ONE, RUN(DBG(WAITING) MAIN(ENDED)), false },
};

START_TEST(a_pod_is_active_as_long_as_its_network_may_live)
{
	_cleanup_(pod_unrefp) struct pod *p = pod_with(lives[_i].spec, lives[_i].status);

	ck_assert_msg(pod_is_active(p) == lives[_i].active, "%s", lives[_i].name);
}
END_TEST

START_TEST(a_pod_that_is_being_deleted_says_so_and_stays_active)
{
	_cleanup_(pod_unrefp) struct pod *p =
		parse("{\"metadata\":{\"uid\":\"u\",\"namespace\":\"n\",\"name\":\"x\","
		      "\"deletionTimestamp\":\"2026-01-01T00:00:00Z\"},"
		      "\"status\":{\"phase\":\"Running\"}}",
		      NULL);

	ck_assert_ptr_nonnull(p);
	ck_assert(p->deleting && pod_is_active(p));
}
END_TEST

static const struct {
	const char *text, *why;
} malformed[] = {
	{ "[]", "expected an object" },
	{ "{}", "metadata.uid is missing" },
	{ "{\"metadata\":{\"uid\":\"u\",\"name\":\"x\"}}", "metadata.namespace is missing" },
	{ "{\"metadata\":{\"uid\":\"\",\"namespace\":\"n\",\"name\":\"x\"}}",
	  "metadata.uid is empty" },
	{ "{\"metadata\":{\"uid\":\"u\",\"namespace\":\"\",\"name\":\"x\"}}",
	  "metadata.namespace is empty" },
	{ "{\"metadata\":{\"uid\":\"u\",\"namespace\":\"n\",\"name\":\"\"}}",
	  "metadata.name is empty" },
	{ "{\"metadata\":{\"uid\":\"u\",\"namespace\":\"n\",\"name\":\"x\",\"labels\":[]}}",
	  "metadata.labels: expected an object, found an array" },
	{ "{\"metadata\":{\"uid\":\"u\",\"namespace\":\"n\",\"name\":\"x\",\"labels\":{\"a\":1}}}",
	  "metadata.labels: the value of \"a\" is not a string" },
	{ "{" META ",\"spec\":{\"hostNetwork\":\"true\"}}",
	  "spec.hostNetwork: expected a boolean, found a string" },
	{ "{" META ",\"status\":{\"phase\":1}}", "status.phase: expected a string" },
	{ "{" META ",\"status\":{\"podIP\":\"10.0.0\"}}",
	  "status.podIP: '10.0.0' is not an IP address" },
	{ "{" META ",\"status\":{\"podIPs\":[{\"ip\":\"10.0.0.1\"},{\"ip\":\"x\"}]}}",
	  "status.podIPs[1]: 'x' is not an IP address" },
	{ "{" META ",\"status\":{\"podIPs\":[{}]}}", "status.podIPs[0]: ip is missing" },
	{ "{" META ",\"status\":{\"podIPs\":[\"10.0.0.1\"]}}", "status.podIPs[0]: " },
	{ "{" META ",\"status\":{\"podIP\":\"127.0.0.1\"}}", "is no address of a pod" },
	{ "{" META ",\"status\":{\"podIP\":\"0.0.0.0\"}}", "is no address of a pod" },
	{ "{" META ",\"status\":{\"podIP\":\"::1\"}}", "is no address of a pod" },
	{ "{" META ",\"status\":{\"podIPs\":[{\"ip\":\"10.0.0.1\"},{\"ip\":\"10.0.0.2\"},"
	  "{\"ip\":\"10.0.0.3\"},{\"ip\":\"10.0.0.4\"},{\"ip\":\"10.0.0.5\"},{\"ip\":\"10.0.0.6\"},"
	  "{\"ip\":\"10.0.0.7\"},{\"ip\":\"10.0.0.8\"},{\"ip\":\"10.0.0.9\"}]}}",
	  "status.podIPs[8]: more than 8 addresses" },
	{ "{" META ",\"status\":{\"containerStatuses\":{}}}",
	  "status.containerStatuses: expected an array, found an object" },
	{ "{" META ",\"status\":{\"containerStatuses\":[{\"state\":{\"terminated\":true}}]}}",
	  "status.containerStatuses[0]: state.terminated: expected an object" },
	{ "{" META ",\"status\":{\"initContainerStatuses\":[1]}}",
	  "status.initContainerStatuses[0]: expected an object" },
};

START_TEST(a_malformed_pod_is_refused_with_the_field_named)
{
	struct err err = { 0 };

	ck_assert_ptr_null(parse(malformed[_i].text, &err));
	ck_assert_int_eq(err.kind, ERR_INPUT);
	ck_assert_msg(strstr(err.msg, malformed[_i].why) != NULL, "%s", err.msg);
}
END_TEST

START_TEST(a_pod_lives_until_its_last_reference_goes)
{
	struct pod *p = parse(recorded_pod, NULL);
	struct pod *again = pod_ref(p);

	ck_assert_ptr_null(pod_unref(p));
	ck_assert_str_eq(again->name, "demo");
	ck_assert_ptr_null(pod_unref(again));
	ck_assert_ptr_null(pod_unref(NULL));
}
END_TEST

#define ZERO INT64_C(1767225600) /* 2026-01-01T00:00:00Z */

static const struct {
	const char *status;
	int64_t started, ran; /* after ZERO; 0: not known */
} time_rows[] = {
	{ "", 0, 0 },
	{ "\"startTime\":\"2026-01-01T00:00:07Z\"", 7, 0 },
	{ "\"startTime\":\"2026-01-01T00:00:07\"", 0, 0 },
	{ "\"startTime\":\"2026-01-01T00:00:07Z \"", 0, 0 },
	{ "\"startTime\":\"2026-01-01T00:00:07.5Z\"", 0, 0 },
	{ "\"startTime\":\"2026-01-01T00:00:07+01:00\"", 0, 0 },
	{ "\"startTime\":\"soon\"", 0, 0 },
	{ "\"startTime\":\"1969-12-31T23:59:59Z\"", 0, 0 },
	{ "\"startTime\":\"2106-02-07T06:28:15Z\"", UINT32_MAX - ZERO, 0 },
	{ "\"startTime\":\"2106-02-07T06:28:16Z\"", 0, 0 }, /* one more than there is room for */
	{ "\"containerStatuses\":[{\"state\":{\"running\":{\"startedAt\":\"2026-01-01T00:00:08Z\"}}"
	  "}]",
	  0, 8 },
	{ "\"containerStatuses\":[{\"state\":{\"running\":{\"startedAt\":\"2026-01-01T00:00:08Z\"}}"
	  "},"
	  "{\"state\":{\"terminated\":{\"startedAt\":\"2026-01-01T00:00:06Z\"}}}]",
	  0, 8 },
	{ "\"initContainerStatuses\":[{\"state\":{\"terminated\":{\"startedAt\":\"2026-01-01T00:00:"
	  "09Z\"}}}],"
	  "\"containerStatuses\":[{\"state\":{\"waiting\":{}}}]",
	  0, 9 },
	{ "\"containerStatuses\":[{\"state\":{\"running\":{}}}]", 0, 0 },
};

START_TEST(the_kubelets_times_are_read_in_the_one_form_that_it_writes)
{
	_cleanup_free_ char *text = xasprintf("{\"metadata\":{\"uid\":\"u\",\"namespace\":\"n\","
					      "\"name\":\"p\"},\"status\":{%s}}",
					      time_rows[_i].status);
	_cleanup_(jval_freep) struct jval *doc = jval_parse(text, strlen(text), 1 << 20, NULL);
	_cleanup_(pod_unrefp) struct pod *p = pod_parse(doc, NULL);

	ck_assert_ptr_nonnull(p);
	ck_assert_int_eq(p->started.s, time_rows[_i].started ? ZERO + time_rows[_i].started : 0);
	ck_assert_int_eq(p->ran.s, time_rows[_i].ran ? ZERO + time_rows[_i].ran : 0);
}
END_TEST

UNIT_MAIN("pod", UNIT(a_recorded_pod_is_read), UNIT(a_pod_without_spec_and_status_is_no_claimant),
	  UNIT_LOOP(addresses_are_read_each_once, addresses),
	  UNIT_LOOP(a_pod_is_active_as_long_as_its_network_may_live, lives),
	  UNIT(a_pod_that_is_being_deleted_says_so_and_stays_active),
	  UNIT_LOOP(a_malformed_pod_is_refused_with_the_field_named, malformed),
	  UNIT(a_pod_lives_until_its_last_reference_goes),
	  UNIT_LOOP(the_kubelets_times_are_read_in_the_one_form_that_it_writes, time_rows))

/* SPDX-License-Identifier: MIT */

#include "tests/unit/issue-bench.h"

START_TEST(a_cached_token_is_answered_inside_the_call)
{
	struct got first = { 0 }, g = { 0 };
	struct bench b;

	bench_init(&b);
	ck_assert_ptr_nonnull(start(&b, &first));
	give(&b, "one");
	ck_assert_str_eq(first.token, "one");
	ck_assert_ptr_null(start(&b, &g));
	ck_assert_str_eq(g.token, "one");
	ck_assert_str_eq(g.a.pod_namespace, "shop");
	ck_assert_uint_eq(g.a.body_id, first.a.body_id);
	ck_assert_uint_ne(g.a.body_id, 0);
	ck_assert_uint_eq(b.source.asked, 1);
	bench_deinit(&b);
}
END_TEST

static const struct {
	enum match_result result;
	enum reason reason;
} refusals[] = {
	{ MATCH_NO_LABEL, REASON_NO_LABEL },
	{ MATCH_NO_BINDING, REASON_NO_BINDING },
	{ MATCH_IDENTITY_NOT_FOUND, REASON_IDENTITY_NOT_FOUND },
	{ MATCH_SELECTOR_UNKNOWN, REASON_IDENTITY_UNKNOWN },
	{ MATCH_SELECTOR_NOT_BOUND, REASON_NOT_BOUND },
	{ MATCH_SELECTOR_UNSUPPORTED, REASON_SELECTOR },
};

START_TEST(a_refusal_is_answered_inside_the_call_and_names_the_pod)
{
	char name[] = "b", gone[] = "gone", selector[] = "s";
	struct azure_binding binding = { .meta = { .namespace = shop, .name = name },
					 .azure_identity = gone,
					 .selector = selector };
	struct got g = { 0 };
	struct bench b;

	bench_init(&b);
	b.match = (struct match_answer){ .result = refusals[_i].result, .binding = &binding };
	ck_assert_ptr_null(start(&b, &g));
	ck_assert_int_eq(g.a.reason, refusals[_i].reason);
	ck_assert_ptr_nonnull(strstr(g.a.text, "shop/web-0"));
	ck_assert_str_eq(g.a.pod_namespace, "shop");
	ck_assert_uint_eq(b.source.asked, 0);
	bench_deinit(&b);
}
END_TEST

START_TEST(an_identity_without_a_client_id_is_refused_by_name_and_not_asked_for)
{
	struct got g = { 0 };
	struct bench b;

	bench_init(&b);
	(void)azure_identity_unref(b.identity);
	b.match.identity = b.identity = mk_identity(.client_id = " ");
	ck_assert_ptr_null(start(&b, &g));
	ck_assert_int_eq(g.a.reason, REASON_IDENTITY_INVALID);
	ck_assert_ptr_nonnull(strstr(g.a.text, "AzureIdentity shop/web has no spec.clientID"));
	ck_assert_uint_eq(b.source.asked, 0);
	bench_deinit(&b);
}
END_TEST

START_TEST(a_type_without_a_source_is_refused_by_name)
{
	struct got g = { 0 };
	struct bench b;

	bench_init(&b);
	(void)azure_identity_unref(b.identity);
	b.match.identity = b.identity = mk_identity(.type = 1);
	ck_assert_ptr_nonnull(start(&b, &g));
	turn(&b);
	ck_assert_int_eq(g.a.reason, REASON_IDENTITY_TYPE);
	ck_assert_ptr_nonnull(strstr(g.a.text, "AzureIdentity shop/web"));
	ck_assert_ptr_nonnull(strstr(g.a.text, "spec.type 1"));
	bench_deinit(&b);
}
END_TEST

START_TEST(a_resolver_that_is_overloaded_is_passed_on)
{
	struct got g = { 0 };
	struct bench b;

	bench_init(&b);
	b.resolver.result = RESOLVE_OVERLOADED;
	ck_assert_ptr_null(start(&b, &g));
	ck_assert_int_eq(g.a.reason, REASON_OVERLOADED);
	bench_deinit(&b);
}
END_TEST

static const struct {
	const char *peer, *says;
} sources[] = {
	{ "127.0.0.1", "comes from the node itself (127.0.0.1)" },
	{ "127.9.9.9", "comes from the node itself" },
	{ "::1", "comes from the node itself (::1)" },
	{ "fe80::aa", "fe80::aa is link-local" },
	{ "::ffff:127.0.0.1", "comes from the node itself (127.0.0.1)" },
};

START_TEST(an_address_that_no_pod_can_have_is_refused_at_once)
{
	struct got g = { 0 }, named = { 0 };
	struct issue_request req = request();
	struct bench b;

	bench_init(&b); /* whatever the resolver would say */
	ck_assert_int_eq(inet_ip_parse(sources[_i].peer, &req.peer, NULL), 0);
	ck_assert_ptr_null(start_with(&b, &req, &g));
	ck_assert_int_eq(g.a.reason, REASON_SOURCE);
	ck_assert_msg(strstr(g.a.text, sources[_i].says) != NULL, "%s", g.a.text);
	ck_assert_ptr_nonnull(strstr(g.a.text, "169.254.169.254"));
	ck_assert_str_eq(g.uid, "");
	ck_assert_uint_eq(b.source.asked, 0);
	/* in a pod's name it is the node's own processes that ask */
	req.by_name = true;
	req.pod_namespace = "shop";
	req.pod_name = "web-0";
	b.names.pod = b.pod;
	ck_assert_ptr_nonnull(start_with(&b, &req, &named));
	give(&b, "one");
	ck_assert_str_eq(named.token, "one");
	bench_deinit(&b);
}
END_TEST

START_TEST(an_address_of_two_pods_waits_for_one_of_them_to_end)
{
	struct got g[2] = { 0 };
	struct bench b;

	bench_init(&b);
	b.resolver.result = RESOLVE_AMBIGUOUS;
	ck_assert_ptr_nonnull(start(&b, &g[0]));
	fake_resolver_tell(&b.resolver);
	ck_assert_int_eq(g[0].a.reason, REASON_AMBIGUOUS_IP);
	ck_assert_str_eq(g[0].a.pod_namespace, "");
	ck_assert_ptr_nonnull(start(&b, &g[1]));
	b.resolver.result = RESOLVE_FOUND;
	fake_resolver_tell(&b.resolver);
	give(&b, "one");
	ck_assert_str_eq(g[1].token, "one");
	bench_deinit(&b);
}
END_TEST

START_TEST(an_address_that_does_not_lead_to_its_pods_link_is_refused_with_the_link)
{
	struct got g = { 0 };
	struct bench b;

	bench_init(&b);
	b.resolver.result = RESOLVE_UNPLACED;
	b.resolver.link = 7;
	ck_assert_ptr_null(start(&b, &g));
	ck_assert_int_eq(g.a.reason, REASON_LINK_MISMATCH);
	ck_assert_ptr_nonnull(strstr(g.a.text, "veth7"));
	ck_assert_ptr_nonnull(strstr(g.a.text, "pod shop/"));
	ck_assert_str_eq(g.a.pod_namespace, "shop");
	bench_deinit(&b);
}
END_TEST

START_TEST(an_address_that_leads_nobody_knows_where_waits_to_be_seen)
{
	struct got g[3] = { 0 };
	struct bench b;

	bench_init(&b);
	b.resolver.result = RESOLVE_UNSEEN;
	ck_assert_ptr_nonnull(start(&b, &g[0]));
	fake_resolver_tell(&b.resolver);
	ck_assert_int_eq(g[0].a.reason, REASON_LINK_MISMATCH);
	ck_assert_str_eq(g[0].a.pod_namespace, "shop");
	ck_assert_ptr_nonnull(start(&b, &g[1]));
	b.resolver.result = RESOLVE_FOUND;
	fake_resolver_tell(&b.resolver);
	give(&b, "one");
	ck_assert_str_eq(g[1].token, "one");
	b.resolver.result = RESOLVE_UNSEEN;
	b.resolver.full = true;
	ck_assert_ptr_null(start(&b, &g[2]));
	ck_assert_int_eq(g[2].a.reason, REASON_OVERLOADED);
	bench_deinit(&b);
}
END_TEST

START_TEST(an_accepted_connection_is_admitted)
{
	struct inet_ip ip = { { 0 } };
	struct bench b;

	bench_init(&b);
	issuer_admit(b.issuer, &ip);
	ck_assert_uint_eq(b.resolver.admitted, 1);
	bench_deinit(&b);
}
END_TEST

static const struct {
	enum resolve_result result;
	bool has_owner;
} owners[] = {
	{ RESOLVE_FOUND, true },     { RESOLVE_UNKNOWN, false },    { RESOLVE_AMBIGUOUS, false },
	{ RESOLVE_UNPLACED, false }, { RESOLVE_OVERLOADED, false }, { RESOLVE_UNSEEN, false },
};

START_TEST(an_address_has_an_owner_if_it_is_certain_whose_it_is)
{
	struct issue_request req = request();
	struct bench b;
	const char *uid;

	bench_init(&b);
	b.resolver.result = owners[_i].result;
	uid = issuer_owner(b.issuer, &req.peer);
	ck_assert_int_eq(uid != NULL, owners[_i].has_owner);
	ck_assert(!uid || strcmp(uid, uid_1) == 0);
	bench_deinit(&b);
}
END_TEST

START_TEST(whose_a_waiting_request_is_is_known_with_its_pod)
{
	struct got g = { 0 };
	struct issue *q;
	struct bench b;

	bench_init(&b);
	b.resolver.result = RESOLVE_UNKNOWN;
	q = start(&b, &g);
	ck_assert_ptr_null(issue_pod_uid(q));
	b.resolver.result = RESOLVE_FOUND;
	fake_resolver_tell(&b.resolver); /* it waits for the token now */
	ck_assert_str_eq(issue_pod_uid(q), "u1");
	issue_cancel(q);
	ck_assert_uint_eq(g.calls, 0);
	bench_deinit(&b);
}
END_TEST

START_TEST(an_unknown_address_waits_for_its_pod)
{
	struct got g = { 0 };
	struct bench b;

	bench_init(&b);
	b.resolver.result = RESOLVE_UNKNOWN;
	ck_assert_ptr_nonnull(start(&b, &g));
	ck_assert_uint_eq(b.source.asked, 0);
	b.resolver.result = RESOLVE_FOUND;
	fake_resolver_tell(&b.resolver);
	give(&b, "one");
	ck_assert_str_eq(g.token, "one");
	ck_assert_str_eq(g.a.pod_namespace, "shop");
	bench_deinit(&b);
}
END_TEST

START_TEST(an_address_that_stays_unknown_is_refused_by_number)
{
	struct got g = { 0 };
	struct bench b;

	bench_init(&b);
	b.resolver.result = RESOLVE_UNKNOWN;
	ck_assert_ptr_nonnull(start(&b, &g));
	fake_resolver_tell(&b.resolver);
	ck_assert_int_eq(g.a.reason, REASON_POD_UNKNOWN);
	ck_assert_ptr_nonnull(strstr(g.a.text, "10.1.2.3"));
	bench_deinit(&b);
}
END_TEST

START_TEST(more_unknown_addresses_than_the_resolver_takes_are_turned_away)
{
	struct got g = { 0 };
	struct bench b;

	bench_init(&b);
	b.resolver.result = RESOLVE_UNKNOWN;
	b.resolver.full = true;
	ck_assert_ptr_null(start(&b, &g));
	ck_assert_int_eq(g.a.reason, REASON_OVERLOADED);
	bench_deinit(&b);
}
END_TEST

START_TEST(before_the_first_sync_requests_wait_for_it)
{
	struct got g[3] = { 0 };
	struct bench b;

	bench_init(&b);
	b.is_ready = false;
	for (size_t i = 0; i < 3; i++)
		ck_assert_ptr_nonnull(start(&b, &g[i]));
	issuer_identities_changed(b.issuer); /* one kind of object is there, another is not */
	loop_fake_advance(b.loop, 4999);
	ck_assert_uint_eq(g[0].calls, 0);
	b.is_ready = true;
	issuer_identities_changed(b.issuer);
	ck_assert_uint_eq(b.source.asked, 0); /* from the loop */
	turn(&b);
	give(&b, "one");
	for (size_t i = 0; i < 3; i++)
		ck_assert_str_eq(g[i].token, "one");
	loop_fake_advance(b.loop, 60000);
	ck_assert_uint_eq(g[0].calls, 1);
	bench_deinit(&b);
}
END_TEST

START_TEST(a_first_sync_that_does_not_come_is_not_synced)
{
	struct got g = { 0 };
	struct bench b;

	bench_init(&b);
	b.is_ready = false;
	ck_assert_ptr_nonnull(start(&b, &g));
	loop_fake_advance(b.loop, 5000);
	ck_assert_int_eq(g.a.reason, REASON_NOT_SYNCED);
	ck_assert_str_eq(g.a.pod_namespace, "shop");
	bench_deinit(&b);
}
END_TEST

START_TEST(requests_that_wait_for_a_sync_are_limited)
{
	struct got waiting = { 0 }, g = { 0 };
	struct bench b;

	bench_init(&b);
	b.is_ready = false;
	for (size_t i = 0; i < LIMIT_WAITING; i++)
		ck_assert_ptr_nonnull(start(&b, &waiting));
	ck_assert_ptr_null(start(&b, &g));
	ck_assert_int_eq(g.a.reason, REASON_OVERLOADED);
	bench_deinit(&b);
	ck_assert_uint_eq(waiting.calls, 0);
}
END_TEST

START_TEST(a_request_may_wait_for_its_pod_then_the_sync_then_its_token)
{
	struct got g = { 0 };
	struct bench b;

	bench_init(&b);
	b.resolver.result = RESOLVE_UNKNOWN;
	b.is_ready = false;
	ck_assert_ptr_nonnull(start(&b, &g));
	b.resolver.result = RESOLVE_FOUND;
	fake_resolver_tell(&b.resolver);
	ck_assert_uint_eq(b.source.asked, 0);
	b.is_ready = true;
	issuer_identities_changed(b.issuer);
	turn(&b);
	give(&b, "one");
	ck_assert_str_eq(g.token, "one");
	bench_deinit(&b);
}
END_TEST

static const struct {
	enum token_fault fault;
	enum reason reason;
} faults[] = {
	{ TOKEN_FAULT_REFUSED, REASON_UPSTREAM_REFUSED },
	{ TOKEN_FAULT_THROTTLED, REASON_UPSTREAM_THROTTLED },
	{ TOKEN_FAULT_UPDATING, REASON_UPSTREAM_UPDATING },
	{ TOKEN_FAULT_DOWN, REASON_UPSTREAM_DOWN },
	{ TOKEN_FAULT_GARBLED, REASON_UPSTREAM_DOWN },
	{ TOKEN_FAULT_OVERLOADED, REASON_OVERLOADED },
	{ TOKEN_FAULT_POD_LIMIT, REASON_POD_LIMIT },
	{ TOKEN_FAULT_POD, REASON_POD_UNKNOWN },
};

START_TEST(a_failure_of_the_upstream_has_its_reason_and_names_pod_and_identity)
{
	struct got g = { 0 };
	struct bench b;

	bench_init(&b);
	ck_assert_ptr_nonnull(start(&b, &g));
	ck_assert(fake_source_fail(&b.source, faults[_i].fault, 9));
	turn(&b);
	ck_assert_int_eq(g.a.reason, faults[_i].reason);
	ck_assert_uint_eq(g.a.retry_after_sec, 9);
	ck_assert_ptr_nonnull(
		strstr(g.a.text, "pod shop/web-0, AzureIdentity shop/web: the fake fails"));
	bench_deinit(&b);
}
END_TEST

/* Answers the oldest fetch as IMDS might. */
static void fail_with(struct bench *b, const struct token_failure *fail)
{
	struct fake_fetch *f = b->source.pending;
	token_done_fn *done = f->done;
	void *ctx = f->ctx;

	b->source.vtable.cancel(b->source.vtable.ctx, f);
	done(ctx, NULL, fail);
	turn(b);
}

START_TEST(an_identity_that_the_vm_lacks_is_explained_with_the_command_that_assigns_it)
{
	const struct token_failure fail = {
		.fault = TOKEN_FAULT_REFUSED,
		.not_assigned = true,
		.error = "invalid_request",
		.err = { .msg = "IMDS answered 400: Identity not found" }
	};
	struct got g = { 0 };
	struct bench b;

	bench_init(&b);
	ck_assert_ptr_nonnull(start(&b, &g));
	fail_with(&b, &fail);
	ck_assert_int_eq(g.a.reason, REASON_UPSTREAM_REFUSED);
	ck_assert_str_eq(g.a.error, "invalid_request");
	ck_assert_ptr_nonnull(strstr(g.a.text, "Identity not found"));
	ck_assert_ptr_nonnull(strstr(g.a.text, "az vmss identity assign -g <group> -n <scale set> "
					       "--identities /subscriptions/s/web"));
	bench_deinit(&b);
}
END_TEST

START_TEST(the_word_that_makes_sdks_give_up_is_never_said)
{
	const struct token_failure fail = {
		.fault = TOKEN_FAULT_GARBLED,
		.error = "server_error",
		.err = { .msg = "Network is Unreachable, host unreachable" }
	};
	struct got g = { 0 };
	struct bench b;

	bench_init(&b);
	ck_assert_ptr_nonnull(start(&b, &g));
	fail_with(&b, &fail);
	ck_assert_ptr_null(strcasestr(g.a.text, "unreachable"));
	ck_assert_ptr_nonnull(strstr(g.a.text, "Network is unavailable, host unavailable"));
	ck_assert_str_eq(g.a.error, ""); /* the reason's own, which the SDKs retry */
	bench_deinit(&b);
}
END_TEST

START_TEST(a_token_that_does_not_come_in_time_is_down)
{
	struct got g = { 0 };
	struct bench b;

	bench_init(&b);
	ck_assert_ptr_nonnull(start(&b, &g));
	loop_fake_advance(b.loop, 20000);
	ck_assert_int_eq(g.a.reason, REASON_UPSTREAM_DOWN);
	bench_deinit(&b);
}
END_TEST

START_TEST(an_excepted_pod_is_given_the_nodes_own_by_its_selector)
{
	struct issue_request req = request();
	struct got g = { 0 };
	struct bench b;

	bench_init(&b);
	b.match = (struct match_answer){ .result = MATCH_EXCEPTED };
	req.selector = (struct selector){ SELECTOR_RESOURCE_ID, "/x" };
	ck_assert_ptr_nonnull(start_with(&b, &req, &g));
	ck_assert_uint_eq(b.source.asked, 0);
	ck_assert(fake_source_give(&b.node, "node", HOUR));
	turn(&b);
	ck_assert_str_eq(g.token, "node");
	ck_assert_str_eq(b.decided_on, "/x");
	/* another selector is another token */
	req.selector.value = "/y";
	g = (struct got){ 0 };
	ck_assert_ptr_nonnull(start_with(&b, &req, &g));
	bench_deinit(&b);
}
END_TEST

START_TEST(bypass_cache_is_passed_on)
{
	struct issue_request req = request();
	struct got first = { 0 }, g = { 0 };
	struct bench b;

	bench_init(&b);
	ck_assert_ptr_nonnull(start(&b, &first));
	give(&b, "one");
	req.bypass_cache = true;
	ck_assert_ptr_nonnull(start_with(&b, &req, &g));
	ck_assert(b.source.pending->bypass);
	give(&b, "two");
	ck_assert_str_eq(g.token, "two");
	bench_deinit(&b);
}
END_TEST

START_TEST(a_cancelled_request_is_silent_in_every_state)
{
	struct got g[3] = { 0 };
	struct issue *q;
	struct bench b;

	bench_init(&b);
	b.resolver.result = RESOLVE_UNKNOWN;
	issue_cancel(start(&b, &g[0]));
	b.resolver.result = RESOLVE_FOUND;
	b.is_ready = false;
	q = start(&b, &g[1]);
	b.is_ready = true;
	issuer_identities_changed(b.issuer);
	issue_cancel(q);
	issue_cancel(start(&b, &g[2]));
	give(&b, "one");
	loop_fake_advance(b.loop, 60000);
	ck_assert_uint_eq(g[0].calls + g[1].calls + g[2].calls, 0);
	bench_deinit(&b);
}
END_TEST

START_TEST(an_issuer_that_is_freed_says_nothing)
{
	struct got g[3] = { 0 };
	struct bench b;

	bench_init(&b);
	ck_assert_ptr_nonnull(start(&b, &g[0]));
	b.is_ready = false;
	ck_assert_ptr_nonnull(start(&b, &g[1]));
	b.resolver.result = RESOLVE_UNKNOWN;
	ck_assert_ptr_nonnull(start(&b, &g[2]));
	bench_deinit(&b);
	ck_assert_uint_eq(g[0].calls + g[1].calls + g[2].calls, 0);
}
END_TEST

START_TEST(the_body_is_of_this_moment)
{
	struct got g = { 0 };
	struct bench b;
	size_t n;
	char *body;
	const struct token_ask ask = { .resource = "r" };

	bench_init(&b);
	b.match = (struct match_answer){ .result = MATCH_EXCEPTED };
	ck_assert_ptr_nonnull(start(&b, &g));
	ck_assert(fake_source_give(&b.node, "node", HOUR));
	turn(&b);
	loop_fake_advance(b.loop, UINT64_C(600) * 1000);
	body = issue_body(b.issuer, token_cache_peek(b.cache, &ask), &n);
	ck_assert_ptr_nonnull(strstr(body, "\"expires_in\":\"3000\""));
	ck_assert_uint_eq(n, strlen(body));
	issue_body_free(body, n);
	bench_deinit(&b);
}
END_TEST

START_TEST(a_choice_among_several_is_logged_for_who_debugs)
{
	char line[1024] = "";
	struct got g = { 0 };
	struct bench b;
	int fds[2];

	ck_assert_int_eq(pipe(fds), 0);
	log_setup(LOG_FORMAT_TEXT, LOG_LEVEL_DEBUG);
	log_set_fd(fds[1]);
	bench_init(&b);
	b.match.candidates = 3;
	ck_assert_ptr_nonnull(start(&b, &g));
	ck_assert_int_gt(read(fds[0], line, sizeof(line) - 1), 0);
	log_set_fd(STDERR_FILENO);
	log_set_level(LOG_LEVEL_INFO);
	ck_assert_ptr_nonnull(strstr(line, "shop/web-0"));
	ck_assert_ptr_nonnull(strstr(line, "AzureIdentity web"));
	ck_assert_ptr_nonnull(strstr(line, "q1"));
	bench_deinit(&b);
	close(fds[0]);
	close(fds[1]);
}
END_TEST

UNIT_MAIN("issue", UNIT(a_cached_token_is_answered_inside_the_call),
	  UNIT_LOOP(a_refusal_is_answered_inside_the_call_and_names_the_pod, refusals),
	  UNIT(an_identity_without_a_client_id_is_refused_by_name_and_not_asked_for),
	  UNIT(a_type_without_a_source_is_refused_by_name),
	  UNIT(a_resolver_that_is_overloaded_is_passed_on),
	  UNIT_LOOP(an_address_that_no_pod_can_have_is_refused_at_once, sources),
	  UNIT(an_address_of_two_pods_waits_for_one_of_them_to_end),
	  UNIT(an_address_that_does_not_lead_to_its_pods_link_is_refused_with_the_link),
	  UNIT(an_address_that_leads_nobody_knows_where_waits_to_be_seen),
	  UNIT(an_accepted_connection_is_admitted),
	  UNIT_LOOP(an_address_has_an_owner_if_it_is_certain_whose_it_is, owners),
	  UNIT(whose_a_waiting_request_is_is_known_with_its_pod),
	  UNIT(an_unknown_address_waits_for_its_pod),
	  UNIT(an_address_that_stays_unknown_is_refused_by_number),
	  UNIT(more_unknown_addresses_than_the_resolver_takes_are_turned_away),
	  UNIT(before_the_first_sync_requests_wait_for_it),
	  UNIT(a_first_sync_that_does_not_come_is_not_synced),
	  UNIT(requests_that_wait_for_a_sync_are_limited),
	  UNIT(a_request_may_wait_for_its_pod_then_the_sync_then_its_token),
	  UNIT_LOOP(a_failure_of_the_upstream_has_its_reason_and_names_pod_and_identity, faults),
	  UNIT(an_identity_that_the_vm_lacks_is_explained_with_the_command_that_assigns_it),
	  UNIT(the_word_that_makes_sdks_give_up_is_never_said),
	  UNIT(a_token_that_does_not_come_in_time_is_down),
	  UNIT(an_excepted_pod_is_given_the_nodes_own_by_its_selector),
	  UNIT(bypass_cache_is_passed_on), UNIT(a_cancelled_request_is_silent_in_every_state),
	  UNIT(an_issuer_that_is_freed_says_nothing), UNIT(the_body_is_of_this_moment),
	  UNIT(a_choice_among_several_is_logged_for_who_debugs))

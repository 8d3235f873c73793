/* SPDX-License-Identifier: MIT */

/* The figures of the token cache: see policy.h. */

#include "nmi/token/policy.h"

#include "nmi/limits.h"

/*
 * The SDKs ask anew when less than 5 minutes are left (azure-identity, MSAL), so a token with less
 * than that would only bring them back at once. They use it all the same until its end if they get no other,
 * which is what the last resort is for.
 */
#define MIN_LIFE_SEC 300

/* Renewed when between these shares of its usable life have passed. */
#define RENEW_FROM_PERCENT 70
#define RENEW_TO_PERCENT   80

/* A hiccup: as long as one caller waits (--token-wait). */
#define HICCUP_MSEC 20000
/* Azure, "Retry guidance": an update of IMDS takes at most 70 s. */
#define UPDATING_MSEC 70000
/* First waits before another try; they double. MSAL waits 1, 2, 4 s, and longer for a 410. */
#define RETRY_MSEC	    1000
#define RETRY_UPDATING_MSEC 2000
/*
 * And end here: with the half that jitter adds, an upstream that is back is asked within 5 s even by those
 * whose every try it has failed. It costs nothing: a flight has as many tries as before, only sooner.
 */
#define RETRY_MAX_MSEC 3000

/* Longest belief in a failure, whatever Retry-After says: the cause may be gone long before. */
#define REMEMBER_MAX_SEC 60

/*
 * Of a token that comes with less than twice the minimum, half its life is usable: what the upstream
 * gives is the best there is, and refusing it would mean a fetch for every request.
 */
struct wall policy_usable_until(struct wall got, struct wall expires_on)
{
	int64_t life = expires_on.s > got.s ? expires_on.s - got.s : 0;
	int64_t keep = life / 2 < MIN_LIFE_SEC ? life - life / 2 : MIN_LIFE_SEC;

	return (struct wall){ expires_on.s - keep };
}

struct wall policy_last_until(struct wall usable_until, struct wall expires_on)
{
	struct wall last = { expires_on.s - LIMIT_TOKEN_LAST_SEC };

	return last.s > usable_until.s ? last : usable_until;
}

bool policy_leaves_last(const struct token_failure *fail)
{
	switch (fail->fault) {
	case TOKEN_FAULT_DOWN:
	case TOKEN_FAULT_UPDATING:
	case TOKEN_FAULT_THROTTLED:
	case TOKEN_FAULT_OVERLOADED:
	case TOKEN_FAULT_POD_LIMIT:
		return true;
	case TOKEN_FAULT_GARBLED:
		/* of a 401 or 403 without sense, say by a proxy, nobody knows what it refuses */
		return fail->err.http_status < 400 || fail->err.http_status >= 500;
	case TOKEN_FAULT_REFUSED:
	case TOKEN_FAULT_UNSUPPORTED:
	case TOKEN_FAULT_INVALID:
	case TOKEN_FAULT_CREDENTIAL:
	case TOKEN_FAULT_POD:
		break;
	}
	return false;
}

bool policy_ends_last(const struct token_failure *fail)
{
	return !policy_leaves_last(fail) && fail->fault != TOKEN_FAULT_POD;
}

/*
 * Late enough to be worth it (IMDS answers from its own cache for a good while), early enough that an
 * outage of hours passes unnoticed (tokens of managed identities live a day). The jitter keeps the
 * tokens that a starting node fetched together from being renewed together.
 */
struct wall policy_renew_at(struct wall got, struct wall usable_until, uint32_t dice)
{
	int64_t life = usable_until.s > got.s ? usable_until.s - got.s : 0;
	int64_t from = life * RENEW_FROM_PERCENT / 100, to = life * RENEW_TO_PERCENT / 100;
	int64_t at = got.s + from + (int64_t)dice % (to - from + 1);

	if (at < got.s + POLICY_RENEW_MIN_SEC)
		at = got.s + POLICY_RENEW_MIN_SEC;
	return (struct wall){ at };
}

unsigned policy_remember_msec(const struct token_failure *fail)
{
	unsigned sec = 0;

	switch (fail->fault) {
	case TOKEN_FAULT_REFUSED:
		/* no SDK repeats these, a crash-looping crowd does; a person who has just assigned
		   the identity should not have to wait for us */
		return 5000;
	case TOKEN_FAULT_THROTTLED:
		sec = fail->retry_after_sec ? fail->retry_after_sec : 5;
		break;
	case TOKEN_FAULT_UPDATING:
		/* up to 70 s in all, and the SDKs come back every 3 to 10 s */
		sec = fail->retry_after_sec ? fail->retry_after_sec : 2;
		break;
	case TOKEN_FAULT_DOWN:
		/* long enough that a crowd costs one attempt a second, short enough to be back with
		   the upstream */
		sec = fail->retry_after_sec ? fail->retry_after_sec : 1;
		break;
	case TOKEN_FAULT_GARBLED:
		sec = 2;
		break;
	case TOKEN_FAULT_CREDENTIAL:
		/* each attempt reads the Secret again; who has just mended it should not have to wait */
		return 1000;
	case TOKEN_FAULT_UNSUPPORTED:
	case TOKEN_FAULT_OVERLOADED:
	case TOKEN_FAULT_INVALID:
	case TOKEN_FAULT_POD_LIMIT:
	case TOKEN_FAULT_POD:
		/* found out here, at no cost; or says nothing of the key, and the next pod asks for itself */
		return 0;
	}
	return (sec < REMEMBER_MAX_SEC ? sec : REMEMBER_MAX_SEC) * 1000;
}

/* The first wait before another try, or 0 if there is to be none. */
static unsigned retry_from(const struct token_failure *fail, uint64_t failing_msec)
{
	switch (fail->fault) {
	case TOKEN_FAULT_THROTTLED:
		/* the whole upstream rests as long as that is believed: no wait of a flight's own */
		return policy_remember_msec(fail);
	case TOKEN_FAULT_UPDATING:
		return failing_msec < UPDATING_MSEC ? RETRY_UPDATING_MSEC : 0;
	case TOKEN_FAULT_DOWN:
		return failing_msec < HICCUP_MSEC ? RETRY_MSEC : 0;
	case TOKEN_FAULT_REFUSED:
	case TOKEN_FAULT_GARBLED:
	case TOKEN_FAULT_UNSUPPORTED:
	case TOKEN_FAULT_OVERLOADED:
	case TOKEN_FAULT_POD_LIMIT:
	case TOKEN_FAULT_INVALID:
	case TOKEN_FAULT_CREDENTIAL:
	case TOKEN_FAULT_POD:
		break;
	}
	return 0;
}

unsigned policy_retry_msec(const struct token_failure *fail, unsigned tries, uint64_t failing_msec,
			   uint32_t dice)
{
	unsigned wait = retry_from(fail, failing_msec);

	if (!wait || tries >= POLICY_TRIES || fail->retry_after_sec > POLICY_REST_MAX_MSEC / 1000)
		return 0;
	if (fail->fault != TOKEN_FAULT_THROTTLED) {
		wait <<= tries - 1;
		wait = wait < RETRY_MAX_MSEC ? wait : RETRY_MAX_MSEC;
		wait += dice % (wait / 2); /* so that what failed together is not asked together */
	}
	return wait > fail->retry_after_sec * 1000 ? wait : fail->retry_after_sec * 1000;
}

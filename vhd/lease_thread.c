#include <config.h>

#include <stdio.h>
#include <string.h>

#include "blob/base/log.h"
#include "vhd/lease_internal.h"

/* Seconds between two tries of what gets no answer. */
#define RETRY_S 1

static void notify(struct lease_keeper *k)
{
	if (k->o.changed)
		k->o.changed(k->o.arg, k->state);
}

static void doubtful(struct lease_keeper *k, const char *why)
{
	pthread_mutex_lock(&k->lock);
	k->state = LEASE_DOUBTFUL;
	k->want = WANT_PROOF;
	if (why)
		snprintf(k->reason, sizeof(k->reason), "%s", why);
	pthread_mutex_unlock(&k->lock);
	log_warn("lease in doubt, writes are refused until it is held again: %s", k->reason);
	notify(k);
}

static void lost(struct lease_keeper *k, const char *what)
{
	char reason[sizeof(k->reason)];

	/* At once, not after the question who it was. */
	pthread_mutex_lock(&k->lock);
	k->state = LEASE_LOST;
	k->want = WANT_NOTHING;
	snprintf(k->reason, sizeof(k->reason), "%s", what);
	pthread_mutex_unlock(&k->lock);
	notify(k);

	lease_step_who(k, what, reason, sizeof(reason));
	pthread_mutex_lock(&k->lock);
	memcpy(k->reason, reason, sizeof(reason));
	pthread_mutex_unlock(&k->lock);
	log_error("lease lost: %s", k->reason);
}

static void gone(struct lease_keeper *k)
{
	pthread_mutex_lock(&k->lock);
	k->state = LEASE_LOST;
	k->want = WANT_NOTHING;
	snprintf(k->reason, sizeof(k->reason), "the blob was deleted");
	pthread_mutex_unlock(&k->lock);
	log_error("lease lost: %s", k->reason);
	notify(k);
}

/* No answer that decides anything: try again soon, remember why. */
static void later(struct lease_keeper *k, const struct err *err)
{
	bool first = !k->reason[0];

	pthread_mutex_lock(&k->lock);
	k->retry_at = lease_now() + lease_units(k, RETRY_S);
	snprintf(k->reason, sizeof(k->reason), "%.*s", (int)sizeof(k->reason) - 1, err->msg);
	pthread_mutex_unlock(&k->lock);
	if (first)
		log_warn("the lease is not confirmed, trying again: %s", err->msg);
}

/* True when the step said yes; else what follows from the answer is done. */
static bool carried(struct lease_keeper *k, enum lease_answer a, const char *no, const struct err *err)
{
	switch (a) {
	case ANSWER_YES:
		return true;
	case ANSWER_NO:
		lost(k, no);
		break;
	case ANSWER_GONE:
		gone(k);
		break;
	case ANSWER_NONE:
		later(k, err);
		break;
	}
	return false;
}

static const char taken[] = "the lease was broken or taken by somebody else";

static void renew(struct lease_keeper *k)
{
	uint64_t before = k->generation;
	struct err err;

	if (!carried(k, lease_step_renew(k, &err), taken, &err))
		return;
	pthread_mutex_lock(&k->lock);
	if (k->want == WANT_NOTHING)
		k->reason[0] = '\0';
	pthread_mutex_unlock(&k->lock);
	if (k->generation != before)
		notify(k);
}

/* The id was changed: writes may go out again. Whatever was demanded meanwhile
 * was about the old id, as no write has been allowed under the new one. */
static void fenced(struct lease_keeper *k)
{
	pthread_mutex_lock(&k->lock);
	k->want = WANT_NOTHING;
	k->state = LEASE_HELD;
	k->reason[0] = '\0';
	k->retry_at = 0;
	pthread_mutex_unlock(&k->lock);
}

static void fence(struct lease_keeper *k)
{
	enum lease_answer a;
	struct err err;

	/* A lease that has run out can't be changed, and after a lost answer the
	 * id may be either: renewing settles both. */
	a = lease_step_change(k, &err);
	if (a == ANSWER_NO) {
		uint64_t before = k->generation;

		a = lease_step_renew(k, &err);
		if (a == ANSWER_YES && k->generation == before) {
			err_set(&err, ERR_CONDITION, "the lease id can't be changed though the lease is ours");
			a = ANSWER_NONE;
		}
	}
	if (!carried(k, a, taken, &err))
		return;
	fenced(k);
	notify(k);
	lease_step_settle(k);
}

/* From doubt back to certainty, or to the end. */
static void prove(struct lease_keeper *k)
{
	enum lease_answer a;
	struct err err;

	if (!carried(k, lease_step_renew(k, &err), taken, &err))
		return;
	a = lease_step_compare(k, &err);
	if (a == ANSWER_NO)
		lease_step_release(k, false, NULL); /* held again, and of no use */
	if (!carried(k, a, "somebody else wrote to the blob while the lease was in doubt", &err))
		return;
	if (!carried(k, lease_step_change(k, &err), taken, &err))
		return;
	fenced(k);
	log_info("lease held again");
	notify(k);
	lease_step_settle(k);
}

/* Under the lock. Waits until `at` or a signal. */
static void sleep_until(struct lease_keeper *k, int64_t at)
{
	int64_t ms = at - lease_now();
	struct timespec t;

	if (ms <= 0)
		return;
	/* A sleeping machine does not run CLOCK_MONOTONIC: look often enough. */
	if (ms > 5000)
		ms = 5000;
	clock_gettime(CLOCK_MONOTONIC, &t);
	t.tv_sec += ms / 1000;
	t.tv_nsec += ms % 1000 * 1000000;
	if (t.tv_nsec >= 1000000000) {
		t.tv_sec++;
		t.tv_nsec -= 1000000000;
	}
	pthread_cond_timedwait(&k->wake, &k->lock, &t);
}

static int64_t min64(int64_t a, int64_t b)
{
	return a < b ? a : b;
}

/* One turn: do what is due, or sleep until something is. */
static void turn(struct lease_keeper *k)
{
	int64_t now = lease_now(), next = k->renew_at;
	enum lease_want want;

	pthread_mutex_lock(&k->lock);
	want = k->want;
	if (k->state == LEASE_LOST) {
		while (!k->stopping)
			pthread_cond_wait(&k->wake, &k->lock);
		pthread_mutex_unlock(&k->lock);
		return;
	}
	if (next < k->retry_at)
		next = k->retry_at;
	if (want != WANT_NOTHING)
		next = k->retry_at;
	if (k->state == LEASE_HELD)
		next = min64(next, lease_safe_until(k));
	if (next > now && !k->stopping)
		sleep_until(k, next);
	want = k->want;
	pthread_mutex_unlock(&k->lock);

	now = lease_now();
	if (k->state == LEASE_HELD && now >= lease_safe_until(k))
		doubtful(k, k->reason[0] ? NULL : "the lease was not renewed in time");
	else if (now < k->retry_at)
		return;
	else if (want == WANT_PROOF)
		prove(k);
	else if (want == WANT_FENCE)
		fence(k);
	else if (now >= k->renew_at)
		renew(k);
}

void *lease_keeper_main(void *arg)
{
	struct lease_keeper *k = arg;

	for (;;) {
		bool stopping;

		pthread_mutex_lock(&k->lock);
		stopping = k->stopping;
		pthread_mutex_unlock(&k->lock);
		if (stopping)
			break;
		turn(k);
	}
	if (k->release && k->state != LEASE_LOST)
		lease_step_release(k, k->state == LEASE_HELD && !k->change_pending, &k->stop_err);
	return NULL;
}

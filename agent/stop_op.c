/*
 * {"op":"stop"}, and the end in general.
 */
#include <config.h>

#include <stdio.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#include "agent/agent.h"
#include "blob/base/log.h"

int64_t monotonic_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * INT64_C(1000) + ts.tv_nsec / 1000000;
}

void utc_now(char out[32])
{
	time_t now = time(NULL);
	struct tm tm;

	gmtime_r(&now, &tm);
	strftime(out, 32, "%Y-%m-%dT%H:%M:%SZ", &tm);
}

void agent_wake(struct agent *a)
{
	eventfd_write(a->wake_fd, 1);
}

void agent_end(struct agent *a, enum agent_end how)
{
	pthread_mutex_lock(&a->lock);
	if (a->end == AGENT_GOES_ON)
		a->end = how;
	pthread_mutex_unlock(&a->lock);
	agent_wake(a);
}

json_t *stop_op(struct agent *a, const struct caller *c, const json_t *request, struct err *err)
{
	bool clean;
	json_t *reply;

	if (c->uid != 0 && c->uid != geteuid()) {
		err_set(err, ERR_PERMISSION, "only root and the agent's own user may stop it");
		return NULL;
	}
	log_info("asked to stop by %s (pid %d)", c->user, (int)c->pid);
	agent_end(a, json_is_true(json_object_get(request, "leave_mounts")) ? AGENT_LEAVES_MOUNTS
									     : AGENT_UNMOUNTS);
	pthread_mutex_lock(&a->lock);
	while (!a->ended)
		pthread_cond_wait(&a->quiet, &a->lock);
	clean = a->clean;
	pthread_mutex_unlock(&a->lock);
	if (!clean) {
		err_set(err, ERR_SYSTEM, "the agent has ended, but not every drive could be unmounted in "
			"order; see its log");
		return NULL;
	}
	reply = json_pack("{s:b}", "ok", true);
	if (!reply)
		err_set(err, ERR_NO_MEMORY, "out of memory");
	return reply;
}

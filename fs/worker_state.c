#include <config.h>

#include "fs/worker.h"

#include <stdarg.h>
#include <stdio.h>
#include <unistd.h>

#include "fs/channel.h"

const char *worker_state_name(enum worker_state s)
{
	static const char *const names[] = {
		[WORKER_MOUNTING] = "mounting", [WORKER_READY] = "ready", [WORKER_DEGRADED] = "degraded",
		[WORKER_LOST] = "lost", [WORKER_FAILED] = "failed",
	};

	return names[s];
}

void worker_set(struct worker_report *out, enum worker_state state, const char *fmt, ...)
{
	va_list ap;

	out->state = state;
	va_start(ap, fmt);
	vsnprintf(out->reason, sizeof(out->reason), fmt, ap);
	va_end(ap);
}

static void report(struct worker *w, struct worker_report *out)
{
	if (w->phase == WORKER_OPENING) {
		worker_set(out, WORKER_MOUNTING, "%s", "");
		return;
	}
	worker_report_clients(w, out);
	w->ops->report(w, out);
}

void worker_report(struct worker *w, struct worker_report *out)
{
	pthread_mutex_lock(&w->lock);
	report(w, out);
	pthread_mutex_unlock(&w->lock);
}

static json_t *stats(struct worker *w)
{
	return w->last_stats ? json_deep_copy(w->last_stats) : w->ops->stats(w);
}

json_t *worker_status(struct worker *w)
{
	struct worker_report now;
	json_t *status;

	pthread_mutex_lock(&w->lock);
	report(w, &now);
	status = json_pack("{sb so ss so sI so}", "ok", 1, "job", worker_job_public(&w->job),
			   "state", worker_state_name(now.state), "reason", channel_text(now.reason),
			   "pid", (json_int_t)getpid(), "stats", stats(w));
	if (status)
		w->ops->status(w, status);
	pthread_mutex_unlock(&w->lock);
	return status;
}

json_t *worker_receipt(struct worker *w)
{
	json_t *receipt;

	pthread_mutex_lock(&w->lock);
	receipt = stats(w);
	json_object_set_new(receipt, "etag", channel_text(w->etag));
	pthread_mutex_unlock(&w->lock);
	return receipt;
}

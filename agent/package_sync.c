#include <config.h>

#include "agent/package_sync.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "agent/agent.h"
#include "blob/base/cleanup.h"
#include "blob/base/log.h"

#define BACKOFF_FIRST_MS 1000
#define BACKOFF_LAST_MS 300000
#define NEVER INT64_MAX

struct package_sync {
	const struct settings *settings;
	int cancel_fd;
	void (*tell)(const char *lines);
	pthread_t thread;
	bool started;              /* the thread */

	/* Of the thread alone. */
	bool awaited;              /* READY=1 has not been told yet */
	unsigned failures;         /* that are tried again, in a row */
	int64_t begun_ms;          /* the last one */

	pthread_mutex_t lock;      /* of what follows */
	int64_t due_ms;            /* NEVER: none; monotonic */
	bool running;
	char running_since[32];
	bool known;                /* there is a last result */
	struct sync_result last;
};

bool package_sync_wanted(const struct settings *s)
{
	/* One that hpcpack mount has started, for the sake of one mount. */
	if (s->idle_exit_s)
		return false;
	return s->sync_at_start || s->sync_interval_ms || s->sync_required;
}

bool package_sync_awaited(const struct settings *s)
{
	return package_sync_wanted(s) && s->sync_required;
}

/* --- when --- */

/* Spread out, as all nodes of a cluster may have failed at one moment. */
static int64_t backoff_ms(unsigned failures)
{
	int64_t delay = BACKOFF_FIRST_MS;

	while (failures-- > 1 && delay < BACKOFF_LAST_MS)
		delay *= 2;
	if (delay > BACKOFF_LAST_MS)
		delay = BACKOFF_LAST_MS;
	return delay - (int64_t)(arc4random() % (uint32_t)(delay / 4));
}

static int64_t next_due(struct package_sync *s, const struct sync_result *r)
{
	unsigned interval = s->settings->sync_interval_ms;
	int64_t due = interval ? s->begun_ms + interval : NEVER;
	int64_t again;

	if (r->ok || (!sync_result_is_total_failure(r) && !s->awaited)) {
		s->failures = 0;
		return due;
	}
	again = monotonic_ms() + backoff_ms(++s->failures);
	return again < due ? again : due;
}

/* False: the agent ends. */
static bool wait_until(const struct package_sync *s, int64_t due)
{
	struct pollfd p = { .fd = s->cancel_fd, .events = POLLIN };

	for (;;) {
		int64_t left = due - monotonic_ms();

		if (left < 0)
			left = 0;
		if (left > 3600000)
			left = 3600000;
		if (poll(&p, 1, due == NEVER ? -1 : (int)left) > 0)
			return false;
		if (due != NEVER && monotonic_ms() >= due)
			return true;
	}
}

/* --- what others hear --- */

static void tell_result(struct package_sync *s, const struct sync_result *r)
{
	char lines[1400], again[64] = "";

	if (r->ok && s->awaited) {
		s->awaited = false;
		s->tell("READY=1\nSTATUS=Serving");
		return;
	}
	if (s->due_ms != NEVER)
		snprintf(again, sizeof(again), "; next in %lld s",
			 (long long)((s->due_ms - monotonic_ms() + 999) / 1000));
	if (r->ok)
		snprintf(lines, sizeof(lines), "STATUS=Serving");
	else
		snprintf(lines, sizeof(lines), "STATUS=Serving%s; the package sync failed: %s%s",
			 s->awaited ? ", but not ready" : "", r->error, again);
	lines[strcspn(lines + 7, "\n") + 7] = '\0';
	s->tell(lines);
}

static void log_result(const struct sync_result *r)
{
	json_t *totals = json_object_get(r->report, "totals");
	long long installed = json_integer_value(json_object_get(totals, "installed"));
	long long unchanged = json_integer_value(json_object_get(totals, "unchanged"));

	if (r->cancelled)
		log_info("the package sync was broken off");
	else if (!r->ok)
		log_error("the package sync failed: %s", r->error);
	else
		log_info("packages synced: %lld installed, %lld unchanged", installed, unchanged);
}

static char *wall_clock(int64_t due_ms, char out[32])
{
	time_t when = time(NULL) + (due_ms - monotonic_ms() + 999) / 1000;
	struct tm tm;

	gmtime_r(&when, &tm);
	strftime(out, 32, "%Y-%m-%dT%H:%M:%SZ", &tm);
	return out;
}

json_t *package_sync_describe(struct package_sync *s, size_t from)
{
	json_int_t next_package = -1;
	json_t *last, *obj;
	char due[32];

	pthread_mutex_lock(&s->lock);
	last = s->known ? sync_result_pack(&s->last, from, &next_package) : json_null();
	obj = json_pack("{s:b, s:b, s:f, s:o, s:o, s:o, s:o}", "enabled",
			package_sync_wanted(s->settings), "required",
			package_sync_awaited(s->settings), "interval_seconds",
			s->settings->sync_interval_ms / 1000.0, "running_since",
			s->running ? json_string(s->running_since) : json_null(), "next",
			s->due_ms == NEVER || s->running ? json_null() : json_string(wall_clock(s->due_ms, due)),
			"last", last, "packages_next",
			next_package < 0 ? json_null() : json_integer(next_package));
	pthread_mutex_unlock(&s->lock);
	return obj;
}

/* For contrib/profile.d: what a job can read. None: the usual place. */
static void publish_root(const struct settings *settings)
{
	cleanup_free char *path = NULL;
	cleanup_close int fd = -1;

	if (asprintf(&path, "%s/package-root", settings->runtime_dir) < 0) {
		path = NULL;
		return;
	}
	unlink(path);
	if (!settings->package_root)
		return;
	fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
	if (fd < 0 || dprintf(fd, "%s\n", settings->package_root) < 0)
		log_warn("%s: %s", path, strerror(errno));
}

/* --- the thread --- */

static void sync_once(struct package_sync *s)
{
	struct sync_result r;

	pthread_mutex_lock(&s->lock);
	s->running = true;
	utc_now(s->running_since);
	pthread_mutex_unlock(&s->lock);
	s->tell(s->awaited ? "STATUS=Serving, but not ready; waiting for the first package sync"
			   : "STATUS=Serving; syncing packages");
	s->begun_ms = monotonic_ms();
	sync_run(s->settings, s->cancel_fd, &r);
	log_result(&r);

	pthread_mutex_lock(&s->lock);
	s->running = false;
	/* What was broken off says nothing; the last word before it stands. */
	if (r.cancelled) {
		sync_result_free(&r);
	} else {
		s->due_ms = next_due(s, &r);
		sync_result_free(&s->last);
		s->last = r;
		s->known = true;
	}
	pthread_mutex_unlock(&s->lock);
	if (r.started[0]) {
		sync_result_save(&s->last, s->settings->runtime_dir);
		tell_result(s, &s->last);
	}
}

static void *thread_main(void *arg)
{
	struct package_sync *s = arg;

	while (wait_until(s, s->due_ms))
		sync_once(s);
	return NULL;
}

struct package_sync *package_sync_start(const struct settings *settings, int cancel_fd,
					void (*tell)(const char *lines), struct err *err)
{
	struct package_sync *s = calloc(1, sizeof(*s));
	int rc;

	if (!s) {
		err_set(err, ERR_NO_MEMORY, "out of memory");
		return NULL;
	}
	s->settings = settings;
	s->cancel_fd = cancel_fd;
	s->tell = tell;
	s->due_ms = NEVER;
	s->awaited = package_sync_awaited(settings);
	pthread_mutex_init(&s->lock, NULL);
	publish_root(settings);
	s->known = sync_result_load(&s->last, settings->runtime_dir);
	if (!package_sync_wanted(settings))
		return s;
	s->due_ms = monotonic_ms();
	if (!settings->sync_at_start && !settings->sync_required)
		s->due_ms += settings->sync_interval_ms;
	rc = pthread_create(&s->thread, NULL, thread_main, s);
	s->started = rc == 0;
	if (s->started)
		return s;
	package_sync_free(s);
	err_set_errno(err, rc, "could not start the package sync");
	return NULL;
}

void package_sync_stop(struct package_sync *s)
{
	if (s && s->started)
		pthread_join(s->thread, NULL);
}

void package_sync_free(struct package_sync *s)
{
	if (!s)
		return;
	sync_result_free(&s->last);
	pthread_mutex_destroy(&s->lock);
	free(s);
}

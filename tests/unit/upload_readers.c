#include <config.h>

#include "tests/unit/upload_readers.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "tests/unit/unit.h"
#include "tests/unit/upload_rig.h"

#define DEADLINE_S 120

struct readers readers;

ssize_t __real_pread(int fd, void *data, size_t len, off_t offset);
ssize_t __wrap_pread(int fd, void *data, size_t len, off_t offset);
int __real_pthread_create(pthread_t *t, const pthread_attr_t *a, void *(*fn)(void *), void *arg);
int __wrap_pthread_create(pthread_t *t, const pthread_attr_t *a, void *(*fn)(void *), void *arg);
int __real_pthread_join(pthread_t t, void **value);
int __wrap_pthread_join(pthread_t t, void **value);
int __real_pthread_cond_wait(pthread_cond_t *c, pthread_mutex_t *m);
int __wrap_pthread_cond_wait(pthread_cond_t *c, pthread_mutex_t *m);

static void until_changed(bool (*is)(void))
{
	struct timespec until;

	clock_gettime(CLOCK_REALTIME, &until);
	until.tv_sec += DEADLINE_S;
	while (!is())
		if (pthread_cond_timedwait(&readers.changed, &readers.lock, &until) == ETIMEDOUT) {
			print_error("%u of %u threads came to read\n", readers.count, readers.meet);
			abort();
		}
}

static bool all_met(void)
{
	return readers.count >= readers.meet;
}

static bool one_failed(void)
{
	return readers.failed;
}

/* The last one to know of the failure is its thread: it has told the upload. */
static void until_gone(pid_t tid)
{
	char path[64];
	time_t end = time(NULL) + DEADLINE_S;

	snprintf(path, sizeof(path), "/proc/self/task/%d", (int)tid);
	while (access(path, F_OK) == 0) {
		if (time(NULL) > end) {
			print_error("the thread that failed goes on\n");
			abort();
		}
		usleep(1000);
	}
}

static bool is_new(pid_t tid)
{
	for (unsigned i = 0; i < readers.count; i++)
		if (readers.tids[i] == tid)
			return false;
	return true;
}

/* What this read gets: -1: its bytes, else an errno, or 0 for the end of the file. */
static int enter(off_t offset)
{
	bool fails, others_wait;

	pthread_mutex_lock(&readers.lock);
	readers.reads++;
	readers.in_order &= offset >= readers.last;
	readers.last = offset;
	if (is_new(gettid()) && readers.count < READERS_MAX)
		readers.tids[readers.count++] = gettid();
	pthread_cond_broadcast(&readers.changed);
	until_changed(all_met);
	fails = readers.fails && offset == readers.fail_at;
	if (fails)
		readers.failed = gettid();
	pthread_cond_broadcast(&readers.changed);
	others_wait = readers.fails && !fails;
	if (others_wait)
		until_changed(one_failed);
	pthread_mutex_unlock(&readers.lock);
	if (others_wait)
		until_gone(readers.failed);
	if (fails)
		return readers.fail_errno;
	return others_wait && readers.others_errno ? readers.others_errno : -1;
}

ssize_t __wrap_pread(int fd, void *data, size_t len, off_t offset)
{
	int got = pthread_equal(pthread_self(), readers.caller) ? -1 : enter(offset);

	if (got < 0)
		return __real_pread(fd, data, len, offset);
	errno = got;
	return got ? -1 : 0;
}

static bool caller_waits(void)
{
	return readers.caller_waits;
}

static void note_that_caller_waits(void)
{
	pthread_mutex_lock(&readers.lock);
	readers.caller_waits = true;
	pthread_cond_broadcast(&readers.changed);
	pthread_mutex_unlock(&readers.lock);
}

struct beginning {
	void *(*fn)(void *);
	void *arg;
};

static void *begin_late(void *arg)
{
	struct beginning b = *(struct beginning *)arg;

	free(arg);
	pthread_mutex_lock(&readers.lock);
	until_changed(caller_waits);
	pthread_mutex_unlock(&readers.lock);
	return b.fn(b.arg);
}

int __wrap_pthread_create(pthread_t *t, const pthread_attr_t *a, void *(*fn)(void *), void *arg)
{
	struct beginning *b;

	if (!pthread_equal(pthread_self(), readers.caller))    /* the service's */
		return __real_pthread_create(t, a, fn, arg);
	if (readers.start_fails_from && readers.started + 1 >= readers.start_fails_from)
		return EAGAIN;
	readers.started++;
	b = malloc(sizeof(*b));
	*b = (struct beginning){ .fn = fn, .arg = arg };
	return __real_pthread_create(t, a, begin_late, b);
}

int __wrap_pthread_join(pthread_t t, void **value)
{
	readers.joined++;
	note_that_caller_waits();
	return __real_pthread_join(t, value);
}

int __wrap_pthread_cond_wait(pthread_cond_t *c, pthread_mutex_t *m)
{
	if (pthread_equal(pthread_self(), readers.caller))
		note_that_caller_waits();
	return __real_pthread_cond_wait(c, m);
}

void expect_readers(unsigned processors, unsigned meet)
{
	readers = (struct readers){
		.lock = PTHREAD_MUTEX_INITIALIZER, .changed = PTHREAD_COND_INITIALIZER,
		.caller = pthread_self(), .meet = meet, .in_order = true,
	};
	rig_set_processors(processors);
}

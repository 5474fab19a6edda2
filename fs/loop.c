#include <config.h>

#include "fs/loop.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include "blob/base/log.h"

/* What stands before the data of a write; the kernel asks for room for it on top
 * of max_write, and for no less than 8 KiB in all. */
#define HEADER_ROOM 4096
#define LEAST_SIZE 8192

/* Ends a blocking read of a thread that is to leave. */
#define KICK SIGUSR1

struct slot {
	struct loop_buf face; /* first: what handlers see */
	struct loop *loop;
	struct slot *next;    /* in the pool */
	char *mem;
	size_t size;          /* of the request in it, bytes */
	size_t held;          /* of them, counted in the loop's */
	atomic_uint refs;     /* 0: in the pool */
};

struct loop {
	struct fuse_session *se;
	struct loop_options o;
	size_t slot_size;
	char *arena;
	size_t arena_size;
	struct slot *slots;
	pthread_t *threads;
	unsigned started;
	atomic_bool stopping;

	pthread_mutex_t lock; /* of what follows */
	pthread_cond_t changed;
	struct slot *pool;    /* last in, first out: few pages are ever touched */
	size_t held;          /* bytes of requests that handlers hold */
	unsigned running;
	bool joined;
};

static __thread struct slot *current;

/* Mutex held: nobody but a thread of ours, or nobody at all, has it now. */
static void not_held(struct slot *s)
{
	s->loop->held -= s->held;
	s->held = 0;
}

static void put_slot(struct slot *s)
{
	struct loop *l = s->loop;

	if (atomic_fetch_sub(&s->refs, 1) != 1)
		return;
	pthread_mutex_lock(&l->lock);
	not_held(s);
	s->next = l->pool;
	l->pool = s;
	pthread_cond_broadcast(&l->changed);
	pthread_mutex_unlock(&l->lock);
}

/* Its thread goes on with it. */
static void reuse(struct slot *s)
{
	if (!s->held)
		return;
	pthread_mutex_lock(&s->loop->lock);
	not_held(s);
	pthread_cond_broadcast(&s->loop->changed);
	pthread_mutex_unlock(&s->loop->lock);
}

/* NULL when it is time to leave. */
static struct slot *get_slot(struct loop *l)
{
	struct slot *s;

	pthread_mutex_lock(&l->lock);
	while ((!l->pool || l->held > l->o.max_held) && !atomic_load(&l->stopping))
		pthread_cond_wait(&l->changed, &l->lock);
	s = atomic_load(&l->stopping) ? NULL : l->pool;
	if (s) {
		l->pool = s->next;
		atomic_store(&s->refs, 1);
	}
	pthread_mutex_unlock(&l->lock);
	return s;
}

struct loop_buf *loop_hold(void)
{
	struct slot *s = current;

	atomic_fetch_add(&s->refs, 1);
	pthread_mutex_lock(&s->loop->lock);
	s->loop->held += s->size - s->held;
	s->held = s->size;
	pthread_mutex_unlock(&s->loop->lock);
	return &s->face;
}

void loop_release(struct loop_buf *b)
{
	put_slot((struct slot *)b);
}

/* libfuse's own receiving function takes the size of the buffer on trust (and it
 * differs between its versions), so the reading is done here. False: the end. */
static bool receive(struct loop *l, struct slot *s, struct fuse_buf *fbuf)
{
	for (;;) {
		ssize_t n;

		if (atomic_load(&l->stopping) || fuse_session_exited(l->se))
			return false;
		n = read(fuse_session_fd(l->se), s->mem, l->slot_size);
		if (n >= 0) {
			s->size = (size_t)n;
			*fbuf = (struct fuse_buf) { .mem = s->mem, .size = (size_t)n };
			return n > 0;
		}
		/* ENOENT: the request was taken back before we had it. */
		if (errno == EINTR || errno == ENOENT)
			continue;
		if (errno != ENODEV)
			log_error("reading from /dev/fuse: %s", strerror(errno));
		return false;
	}
}

static void leave(struct loop *l)
{
	bool last;

	pthread_mutex_lock(&l->lock);
	last = --l->running == 0;
	pthread_cond_broadcast(&l->changed);
	pthread_mutex_unlock(&l->lock);
	if (last && !atomic_load(&l->stopping) && l->o.ended)
		l->o.ended(l->o.arg);
}

static void *serve(void *arg)
{
	struct loop *l = arg;
	struct slot *s = get_slot(l);
	struct fuse_buf fbuf;
	sigset_t kick;

	sigemptyset(&kick);
	sigaddset(&kick, KICK);
	pthread_sigmask(SIG_UNBLOCK, &kick, NULL);
	while (s && receive(l, s, &fbuf)) {
		current = s;
		fuse_session_process_buf(l->se, &fbuf);
		current = NULL;
		if (atomic_load(&s->refs) == 1) {
			reuse(s);
			continue;
		}
		put_slot(s);
		s = get_slot(l);
	}
	if (s)
		put_slot(s);
	leave(l);
	return NULL;
}

static void on_kick(int sig)
{
}

/* The arena is reserved here and touched on first use: PR_SET_IO_FLUSHER keeps
 * those page faults from waiting for write-back. */
static int make_pool(struct loop *l, struct err *err)
{
	unsigned count = l->o.threads + l->o.spare, i;
	size_t page = (size_t)sysconf(_SC_PAGESIZE);

	l->slot_size = l->o.max_write + HEADER_ROOM;
	if (l->slot_size < LEAST_SIZE)
		l->slot_size = LEAST_SIZE;
	l->slot_size = (l->slot_size + page - 1) & ~(page - 1);
	l->arena_size = l->slot_size * count;
	l->slots = calloc(count, sizeof(*l->slots));
	l->threads = calloc(l->o.threads, sizeof(*l->threads));
	l->arena = mmap(NULL, l->arena_size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (l->arena == MAP_FAILED)
		l->arena = NULL;
	if (!l->slots || !l->threads || !l->arena)
		return err_set(err, ERR_NO_MEMORY, "out of memory for %u buffers of %zu bytes for FUSE",
			       count, l->slot_size);
	for (i = 0; i < count; i++) {
		struct slot *s = &l->slots[i];

		s->loop = l;
		s->mem = l->arena + l->slot_size * i;
		s->next = l->pool;
		l->pool = s;
	}
	return 0;
}

struct loop *loop_start(struct fuse_session *se, const struct loop_options *o, struct err *err)
{
	struct sigaction kick = { .sa_handler = on_kick }; /* no SA_RESTART */
	struct loop *l = calloc(1, sizeof(*l));

	if (!l) {
		err_set(err, ERR_NO_MEMORY, "out of memory for the FUSE threads");
		return NULL;
	}
	l->se = se;
	l->o = *o;
	pthread_mutex_init(&l->lock, NULL);
	pthread_cond_init(&l->changed, NULL);
	if (make_pool(l, err) < 0)
		goto failed;
	sigaction(KICK, &kick, NULL);
	l->running = o->threads;
	for (; l->started < o->threads; l->started++) {
		int rc = pthread_create(&l->threads[l->started], NULL, serve, l);

		if (rc) {
			err_set_errno(err, rc, "can't start a FUSE thread");
			goto failed;
		}
	}
	return l;
failed:
	loop_free(l);
	return NULL;
}

static struct timespec in_ms(clockid_t clock, unsigned ms)
{
	struct timespec ts;

	clock_gettime(clock, &ts);
	ts.tv_sec += ms / 1000;
	ts.tv_nsec += (long)(ms % 1000) * 1000000;
	if (ts.tv_nsec >= 1000000000) {
		ts.tv_sec++;
		ts.tv_nsec -= 1000000000;
	}
	return ts;
}

bool loop_ended(struct loop *l, unsigned timeout_ms)
{
	struct timespec end = in_ms(CLOCK_MONOTONIC, timeout_ms);
	bool ended;

	pthread_mutex_lock(&l->lock);
	while (l->running &&
	       pthread_cond_clockwait(&l->changed, &l->lock, CLOCK_MONOTONIC, &end) != ETIMEDOUT)
		;
	ended = !l->running;
	pthread_mutex_unlock(&l->lock);
	return ended;
}

/* A kick that comes just before the read is lost: kick until it is gone. */
static void kick_and_join(pthread_t thread)
{
	struct timespec soon;

	do {
		pthread_kill(thread, KICK);
		soon = in_ms(CLOCK_MONOTONIC, 10);
	} while (pthread_clockjoin_np(thread, NULL, CLOCK_MONOTONIC, &soon) == ETIMEDOUT);
}

void loop_stop(struct loop *l)
{
	unsigned i;

	if (l->joined)
		return;
	pthread_mutex_lock(&l->lock);
	atomic_store(&l->stopping, true);
	pthread_cond_broadcast(&l->changed);
	pthread_mutex_unlock(&l->lock);
	for (i = 0; i < l->started; i++)
		kick_and_join(l->threads[i]);
	l->joined = true;
}

void loop_free(struct loop *l)
{
	loop_stop(l);
	if (l->arena)
		munmap(l->arena, l->arena_size);
	free(l->slots);
	free(l->threads);
	pthread_mutex_destroy(&l->lock);
	pthread_cond_destroy(&l->changed);
	free(l);
}

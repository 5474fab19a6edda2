#include <config.h>

#include "blob/transport.h"

#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdlib.h>

#include "blob/clock.h"

/* At most so long between two looks at whether a running exchange moves. */
#define LOOK_MS 1000u

/*
 * Where a transfer is, and which of its thread's structures hold it:
 *
 *   POSTED    in the inbox (the only one that other threads reach)
 *   DELAYED   in the timers, for its start; not yet in the queue
 *   QUEUED    in the queue; in the timers, for its deadline
 *   RUNNING   in the running list and the wire; in the timers, for the next
 *             look at it
 *   OVER      in the list of those whose `done` is to be called
 *
 * POSTED -> DELAYED or QUEUED -> RUNNING -> OVER; any -> OVER at its deadline and
 * when the transport is aborted. OVER ends with `done`, after which the
 * transfer is not ours any more.
 */
enum transfer_state { POSTED, DELAYED, QUEUED, RUNNING, OVER };

struct list {
	struct transfer *first, *last;
};

struct io_thread {
	struct transport *transport;
	pthread_t id;
	bool started;
	struct wire *wire;

	pthread_mutex_t lock;    /* protects the inbox, and nothing else */
	struct list inbox;

	atomic_uint load;        /* transfers of this thread, for choosing one */
	struct list queue, running, over;
	struct timers timers;
};

struct transport {
	struct io_thread *threads;
	unsigned count;
	unsigned stall_ms;
	atomic_uint turn;        /* where to begin to look for the least busy one */
	atomic_ullong under_way; /* submits whose `done` has not returned */
	atomic_bool aborting, stopping;
};

static void list_add(struct list *l, struct transfer *f)
{
	f->next = NULL;
	f->prev = l->last;
	if (l->last)
		l->last->next = f;
	else
		l->first = f;
	l->last = f;
}

static void list_remove(struct list *l, struct transfer *f)
{
	if (f->prev)
		f->prev->next = f->next;
	else
		l->first = f->next;
	if (f->next)
		f->next->prev = f->prev;
	else
		l->last = f->prev;
}

static void wake_all(struct transport *t)
{
	unsigned i;

	for (i = 0; i < t->count; i++)
		wire_wakeup(t->threads[i].wire);
}

static struct io_thread *least_busy(struct transport *t)
{
	unsigned start = atomic_fetch_add(&t->turn, 1), i;
	struct io_thread *best = NULL;
	unsigned best_load = 0;

	for (i = 0; i < t->count; i++) {
		struct io_thread *th = &t->threads[(start + i) % t->count];
		unsigned load = atomic_load(&th->load);

		if (!best || load < best_load) {
			best = th;
			best_load = load;
		}
	}
	return best;
}

/* The I/O thread that this is; NULL: another. It looks into its inbox by itself. */
static __thread struct io_thread *self;

void transport_submit(struct transport *t, struct transfer *f)
{
	struct io_thread *th = least_busy(t);
	bool wake;

	atomic_fetch_add(&t->under_way, 1);
	atomic_fetch_add(&th->load, 1);
	f->state = POSTED;
	pthread_mutex_lock(&th->lock);
	wake = !th->inbox.first; /* else somebody has woken it already */
	list_add(&th->inbox, f);
	pthread_mutex_unlock(&th->lock);
	if (wake && th != self)
		wire_wakeup(th->wire);
}

void transport_abort(struct transport *t)
{
	atomic_store(&t->aborting, true);
	wake_all(t);
}

static struct transfer *of_timer(struct timer *timer)
{
	return (struct transfer *)((char *)timer - offsetof(struct transfer, timer));
}

static struct transfer *of_exchange(struct exchange *x)
{
	return (struct transfer *)((char *)x - offsetof(struct transfer, x));
}

/* It has its result: take it out of what holds it. */
static void end(struct io_thread *th, struct transfer *f)
{
	if (f->state != POSTED)
		timers_remove(&th->timers, &f->timer);
	if (f->state == QUEUED)
		list_remove(&th->queue, f);
	if (f->state == RUNNING)
		list_remove(&th->running, f);
	f->state = OVER;
	list_add(&th->over, f);
}

static void break_off(struct io_thread *th, struct transfer *f, enum wire_result why,
		      const char *reason)
{
	if (f->state == RUNNING)
		wire_stop(th->wire, &f->x, why);
	else
		exchange_fail(&f->x, why, reason);
	end(th, f);
}

static void post(struct io_thread *th, struct transfer *f, uint64_t now)
{
	bool delayed = f->start_ms > now;

	if (timers_add(&th->timers, &f->timer, delayed ? f->start_ms : f->deadline_ms) < 0) {
		break_off(th, f, WIRE_NO_MEMORY, "not enough memory");
		return;
	}
	f->state = delayed ? DELAYED : QUEUED;
	if (!delayed)
		list_add(&th->queue, f);
}

static void take_inbox(struct io_thread *th)
{
	uint64_t now = clock_ms();
	struct transfer *f, *next;

	pthread_mutex_lock(&th->lock);
	f = th->inbox.first;
	th->inbox = (struct list){ NULL, NULL };
	pthread_mutex_unlock(&th->lock);
	for (; f; f = next) {
		next = f->next;
		post(th, f, now);
	}
}

static void cancel_all(struct io_thread *th)
{
	struct timer *timer;

	/* Whatever is under way has a timer. */
	while ((timer = timers_first(&th->timers)))
		break_off(th, of_timer(timer), WIRE_CANCELLED, "the program is stopping");
}

/* Does a running exchange get on? If it does, come back later. */
static void look_at(struct io_thread *th, struct transfer *f, uint64_t now)
{
	uint64_t progress = wire_progress(&f->x);
	uint64_t due, stalled;

	if (progress != f->progress) {
		f->progress = progress;
		f->progress_ms = now;
	}
	stalled = f->progress_ms + th->transport->stall_ms;
	if (now >= f->deadline_ms) {
		break_off(th, f, WIRE_DEADLINE, NULL);
		return;
	}
	if (now >= stalled) {
		break_off(th, f, WIRE_STALLED, NULL);
		return;
	}
	due = now + LOOK_MS;
	if (due > stalled)
		due = stalled;
	if (due > f->deadline_ms)
		due = f->deadline_ms;
	timers_move(&th->timers, &f->timer, due);
}

static void run_timers(struct io_thread *th)
{
	uint64_t now = clock_ms();
	struct timer *timer;

	while ((timer = timers_first(&th->timers)) && timer->due_ms <= now) {
		struct transfer *f = of_timer(timer);

		if (f->state == RUNNING) {
			look_at(th, f, now);
		} else if (now >= f->deadline_ms) {
			break_off(th, f, WIRE_DEADLINE, "no connection was free");
		} else {
			f->state = QUEUED;
			list_add(&th->queue, f);
			timers_move(&th->timers, timer, f->deadline_ms);
		}
	}
}

static void start_queued(struct io_thread *th)
{
	uint64_t now = clock_ms();
	struct transfer *f;

	while ((f = th->queue.first) && !wire_full(th->wire)) {
		if (f->prepare(f) < 0 || wire_start(th->wire, &f->x) < 0) {
			end(th, f);
			continue;
		}
		list_remove(&th->queue, f);
		list_add(&th->running, f);
		f->state = RUNNING;
		f->progress = 0;
		f->progress_ms = now;
		look_at(th, f, now);
	}
}

static void call_done(struct io_thread *th)
{
	struct transport *t = th->transport;
	struct transfer *f;

	while ((f = th->over.first)) {
		list_remove(&th->over, f);
		atomic_fetch_sub(&th->load, 1);
		f->done(f);
		if (atomic_fetch_sub(&t->under_way, 1) == 1 && atomic_load(&t->stopping))
			wake_all(t);
	}
}

/* Is there anything to do but for what the network or the clock say? */
static bool busy(struct io_thread *th)
{
	bool posted;

	pthread_mutex_lock(&th->lock);
	posted = th->inbox.first;
	pthread_mutex_unlock(&th->lock);
	return posted || th->over.first || (th->queue.first && !wire_full(th->wire));
}

static int time_to_wait(struct io_thread *th)
{
	const struct timer *timer = timers_first(&th->timers);
	uint64_t now = clock_ms();

	if (busy(th) || (timer && timer->due_ms <= now))
		return 0;
	if (!timer || timer->due_ms - now > 60000)
		return 60000;
	return (int)(timer->due_ms - now);
}

static void *run(void *arg)
{
	struct io_thread *th = arg;
	struct transport *t = th->transport;
	struct exchange *x;

	self = th;
	for (;;) {
		take_inbox(th);
		if (atomic_load(&t->aborting))
			cancel_all(th);
		run_timers(th);
		start_queued(th);
		wire_run(th->wire);
		while ((x = wire_finished(th->wire)))
			end(th, of_exchange(x));
		call_done(th);
		if (atomic_load(&t->stopping) && !atomic_load(&t->under_way))
			return NULL;
		wire_wait(th->wire, time_to_wait(th));
	}
}

/* Signals are for the program's own threads. */
static int start_thread(struct io_thread *th)
{
	sigset_t all, old;
	int rc;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	rc = pthread_create(&th->id, NULL, run, th);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	th->started = rc == 0;
	if (th->started)
		pthread_setname_np(th->id, "blob-io");
	return rc;
}

struct transport *transport_new(const struct transport_options *o, struct err *err)
{
	struct transport *t = calloc(1, sizeof(*t));
	unsigned slots = (o->connections + o->threads - 1) / o->threads;
	unsigned i;
	int rc;

	if (t)
		t->threads = calloc(o->threads, sizeof(*t->threads));
	if (!t || !t->threads) {
		free(t);
		err_set(err, ERR_NO_MEMORY, "not enough memory for %u I/O threads", o->threads);
		return NULL;
	}
	t->stall_ms = o->stall_ms;
	for (i = 0; i < o->threads; i++) {
		struct io_thread *th = &t->threads[i];

		th->transport = t;
		th->wire = wire_new(slots, o->connect_ms, err);
		if (!th->wire)
			break;
		pthread_mutex_init(&th->lock, NULL);
		t->count++;
	}
	for (i = 0; t->count == o->threads && i < t->count; i++) {
		rc = start_thread(&t->threads[i]);
		if (rc) {
			err_set_errno(err, rc, "can't start an I/O thread");
			break;
		}
	}
	if (i < o->threads) {
		transport_free(t);
		return NULL;
	}
	return t;
}

void transport_free(struct transport *t)
{
	unsigned i;

	if (!t)
		return;
	atomic_store(&t->stopping, true);
	transport_abort(t);
	for (i = 0; i < t->count; i++)
		if (t->threads[i].started)
			pthread_join(t->threads[i].id, NULL);
	for (i = 0; i < t->count; i++) {
		wire_free(t->threads[i].wire);
		pthread_mutex_destroy(&t->threads[i].lock);
		timers_free(&t->threads[i].timers);
	}
	free(t->threads);
	free(t);
}

#include <config.h>

#include "fake-disk.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define WORKERS 3

enum kind { READ, WRITE, FLUSH, DISCARD };

struct io {
	struct io *next;
	enum kind kind;
	uint64_t offset, len;
	const void *data;
	disk_read_fn *read_done;
	disk_done_fn *done;
	void *arg;
	struct timespec due;
};

struct disk {
	uint64_t size;
	unsigned max_io, delay_ms, seed;
	unsigned char *bytes;
	enum err_code fail[DISCARD + 1];
	struct disk_stats stats;
	pthread_mutex_t lock;
	pthread_cond_t changed;
	struct io *queue;
	unsigned under_way, most;
	bool stop;
	pthread_t workers[WORKERS];
};

static void *work(void *arg);

struct disk *fake_disk_new(uint64_t size, unsigned max_io)
{
	struct disk *d = calloc(1, sizeof(*d));
	int i;

	d->size = size;
	d->max_io = max_io;
	d->bytes = calloc(1, size);
	d->seed = 1;
	pthread_mutex_init(&d->lock, NULL);
	pthread_cond_init(&d->changed, NULL);
	for (i = 0; i < WORKERS; i++)
		pthread_create(&d->workers[i], NULL, work, d);
	return d;
}

void fake_disk_delay(struct disk *d, unsigned ms)
{
	pthread_mutex_lock(&d->lock);
	d->delay_ms = ms;
	pthread_mutex_unlock(&d->lock);
}

void fake_disk_fail(struct disk *d, enum err_code reads, enum err_code writes, enum err_code flushes)
{
	pthread_mutex_lock(&d->lock);
	d->fail[READ] = reads;
	d->fail[WRITE] = d->fail[DISCARD] = writes;
	d->fail[FLUSH] = flushes;
	pthread_mutex_unlock(&d->lock);
}

unsigned char *fake_disk_bytes(struct disk *d)
{
	return d->bytes;
}

unsigned fake_disk_most(struct disk *d)
{
	unsigned most;

	pthread_mutex_lock(&d->lock);
	most = d->most;
	pthread_mutex_unlock(&d->lock);
	return most;
}

/* A read's bytes come in two pieces. */
static void complete(struct disk *d, const struct io *io, enum err_code code)
{
	struct iovec iov[2];
	struct err err;

	if (code) {
		err_set(&err, code, "told to fail");
		if (io->kind == READ)
			io->read_done(io->arg, &err, NULL, 0);
		else
			io->done(io->arg, &err);
		return;
	}
	switch (io->kind) {
	case READ:
		iov[0].iov_base = d->bytes + io->offset;
		iov[0].iov_len = io->len / 2;
		iov[1].iov_base = d->bytes + io->offset + io->len / 2;
		iov[1].iov_len = io->len - io->len / 2;
		io->read_done(io->arg, NULL, iov, 2);
		return;
	case WRITE:
		memcpy(d->bytes + io->offset, io->data, io->len);
		break;
	case DISCARD:
		memset(d->bytes + io->offset, 0, io->len);
		break;
	case FLUSH:
		break;
	}
	io->done(io->arg, NULL);
}

static void count(struct disk *d, const struct io *io)
{
	if (io->kind == READ) {
		d->stats.reads++;
		d->stats.read_bytes += io->len;
	} else if (io->kind == WRITE) {
		d->stats.writes++;
		d->stats.write_bytes += io->len;
	} else if (io->kind == FLUSH) {
		d->stats.flushes++;
	} else {
		d->stats.clears++;
	}
}

static void finished(struct disk *d)
{
	pthread_mutex_lock(&d->lock);
	d->under_way--;
	pthread_cond_broadcast(&d->changed);
	pthread_mutex_unlock(&d->lock);
}

static bool is_due(const struct io *io)
{
	struct timespec now;

	clock_gettime(CLOCK_REALTIME, &now);
	return now.tv_sec > io->due.tv_sec || (now.tv_sec == io->due.tv_sec && now.tv_nsec >= io->due.tv_nsec);
}

/* The first that is due, or wait until one is. Called and left with the lock. */
static struct io *next_due(struct disk *d)
{
	while (!d->stop || d->queue) {
		struct io **p, **soonest = &d->queue;

		for (p = &d->queue; *p; p = &(*p)->next)
			if ((*p)->due.tv_sec < (*soonest)->due.tv_sec ||
			    ((*p)->due.tv_sec == (*soonest)->due.tv_sec &&
			     (*p)->due.tv_nsec < (*soonest)->due.tv_nsec))
				soonest = p;
		if (*soonest && is_due(*soonest)) {
			struct io *io = *soonest;

			*soonest = io->next;
			return io;
		}
		if (*soonest)
			pthread_cond_timedwait(&d->changed, &d->lock, &(struct timespec) {
				(*soonest)->due.tv_sec, (*soonest)->due.tv_nsec });
		else
			pthread_cond_wait(&d->changed, &d->lock);
	}
	return NULL;
}

static void *work(void *arg)
{
	struct disk *d = arg;
	struct io *io;

	pthread_mutex_lock(&d->lock);
	while ((io = next_due(d))) {
		enum err_code code = d->fail[io->kind];

		pthread_mutex_unlock(&d->lock);
		complete(d, io, code);
		free(io);
		finished(d);
		pthread_mutex_lock(&d->lock);
	}
	pthread_mutex_unlock(&d->lock);
	return NULL;
}

static void submit(struct disk *d, struct io io)
{
	enum err_code code;
	struct io *later;
	unsigned wait;

	pthread_mutex_lock(&d->lock);
	count(d, &io);
	if (++d->under_way > d->most)
		d->most = d->under_way;
	code = d->fail[io.kind];
	if (d->delay_ms) {
		wait = d->delay_ms + (unsigned)rand_r(&d->seed) % d->delay_ms;
		later = malloc(sizeof(*later));
		*later = io;
		clock_gettime(CLOCK_REALTIME, &later->due);
		later->due.tv_nsec += (long)wait * 1000000;
		later->due.tv_sec += later->due.tv_nsec / 1000000000;
		later->due.tv_nsec %= 1000000000;
		later->next = d->queue;
		d->queue = later;
		pthread_cond_broadcast(&d->changed);
		pthread_mutex_unlock(&d->lock);
		return;
	}
	pthread_mutex_unlock(&d->lock);
	complete(d, &io, code);
	finished(d);
}

uint64_t disk_size(const struct disk *d)
{
	return d->size;
}

unsigned disk_max_io(const struct disk *d)
{
	return d->max_io;
}

void disk_read(struct disk *d, uint64_t offset, uint32_t len, disk_read_fn *done, void *arg)
{
	submit(d, (struct io) { .kind = READ, .offset = offset, .len = len, .read_done = done, .arg = arg });
}

void disk_write(struct disk *d, uint64_t offset, const void *data, uint32_t len, disk_done_fn *done,
		void *arg)
{
	submit(d, (struct io) { .kind = WRITE, .offset = offset, .len = len, .data = data, .done = done,
				.arg = arg });
}

void disk_flush(struct disk *d, disk_done_fn *done, void *arg)
{
	submit(d, (struct io) { .kind = FLUSH, .done = done, .arg = arg });
}

void disk_discard(struct disk *d, uint64_t offset, uint64_t len, disk_done_fn *done, void *arg)
{
	submit(d, (struct io) { .kind = DISCARD, .offset = offset, .len = len, .done = done, .arg = arg });
}

void disk_stats(struct disk *d, struct disk_stats *out)
{
	pthread_mutex_lock(&d->lock);
	*out = d->stats;
	pthread_mutex_unlock(&d->lock);
}

int disk_close(struct disk *d, struct err *err)
{
	int i;

	pthread_mutex_lock(&d->lock);
	d->stop = true;
	pthread_cond_broadcast(&d->changed);
	while (d->under_way)
		pthread_cond_wait(&d->changed, &d->lock);
	pthread_mutex_unlock(&d->lock);
	for (i = 0; i < WORKERS; i++)
		pthread_join(d->workers[i], NULL);
	pthread_mutex_destroy(&d->lock);
	pthread_cond_destroy(&d->changed);
	free(d->bytes);
	free(d);
	return 0;
}

/* download_write.c - checking and writing what was received. */
#include <config.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "blob/base/cleanup.h"
#include "blob/download_pool.h"

#define MAX_ATTEMPTS 10
#define READ_BYTES (1u << 20)

/* --- ranges --- */

static struct download_slot *take(struct download *d)
{
	struct download_slot *s;

	pthread_mutex_lock(&d->lock);
	while (!d->head && !d->ending)
		pthread_cond_wait(&d->changed, &d->lock);
	s = d->head;
	if (s)
		d->head = s->next;
	pthread_mutex_unlock(&d->lock);
	return s;
}

/* 1: it is right. 0: damaged on its way, and asked for again. */
static int check(struct download_slot *s, struct err *err)
{
	const struct download *d = s->d;
	char md5[MD5_TEXT_MAX];

	if (!*s->md5)
		return 1;
	if (md5_of(s->data, s->len, md5, err) < 0)
		return -1;
	if (!strcmp(md5, s->md5))
		return 1;
	if (++s->attempts == MAX_ATTEMPTS)
		return err_set(err, ERR_NETWORK,
			       "%s/%s: %zu bytes at %llu came damaged %d times: they do not fit the MD5 sent with them; check the network",
			       d->ref->container, d->ref->blob, s->len, (unsigned long long)s->offset,
			       MAX_ATTEMPTS);
	download_ask(s);
	return 0;
}

static int keep(struct download_slot *s, struct err *err)
{
	struct download *d = s->d;
	int rc;

	if (part_write(&d->part, s->data, s->len, s->offset, err) < 0)
		return -1;
	pthread_mutex_lock(&d->lock);
	d->stats.received += s->len;
	rc = extents_add(&d->done, s->offset, s->offset + s->len);
	pthread_mutex_unlock(&d->lock);
	return rc < 0 ? err_set(err, ERR_NO_MEMORY, "out of memory") : 0;
}

static void *write_all(void *arg)
{
	struct download *d = arg;
	struct download_slot *s;

	while ((s = take(d))) {
		struct err err;
		int rc = check(s, &err);

		if (rc > 0)
			rc = keep(s, &err) < 0 ? -1 : 1;
		if (rc)
			download_slot_done(s, rc < 0 ? &err : NULL);
	}
	return NULL;
}

/* --- the whole --- */

/* How far it can be read after `at`; 0 when there is nothing to wait for any more. */
static uint64_t wait_beyond(struct download *d, uint64_t at)
{
	uint64_t end;

	pthread_mutex_lock(&d->lock);
	while ((end = extents_begin(&d->done)) <= at && !d->failed && !d->ending)
		pthread_cond_wait(&d->changed, &d->lock);
	if (d->failed || end <= at)
		end = 0;
	pthread_mutex_unlock(&d->lock);
	return end;
}

static int read_back(const struct download *d, char *data, size_t len, uint64_t at, struct err *err)
{
	while (len) {
		ssize_t n = pread(d->part.fd, data, len, (off_t)at);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return err_set_errno(err, n < 0 ? errno : EIO, "%s: can't be read", d->part.part_path);
		data += n;
		at += (uint64_t)n;
		len -= (size_t)n;
	}
	return 0;
}

/* Where what was there from before may have been damaged, too. */
static int compare(const struct download *d, const char *md5, struct err *err)
{
	if (!strcmp(md5, d->props->content_md5))
		return 0;
	return err_set(err, ERR_NETWORK,
		       "%s/%s: what came does not fit the MD5 that the blob carries, and nothing is kept: damaged on its way, or in storage; try again, and if it stays so, upload it anew",
		       d->ref->container, d->ref->blob);
}

static int sum_up(struct download *d, struct md5 *md5, struct err *err)
{
	cleanup_free char *data = malloc(READ_BYTES);
	uint64_t at = 0, end;

	if (!data)
		return err_set(err, ERR_NO_MEMORY, "out of memory");
	while (at < d->size && (end = wait_beyond(d, at)) > 0) {
		for (; at < end; ) {
			size_t len = end - at < READ_BYTES ? (size_t)(end - at) : READ_BYTES;

			if (read_back(d, data, len, at, err) < 0)
				return -1;
			md5_add(md5, data, len);
			at += len;
		}
	}
	return at == d->size ? 1 : 0;
}

static void *follow(void *arg)
{
	struct download *d = arg;
	char text[MD5_TEXT_MAX];
	struct err err;
	struct md5 *md5 = md5_new(&err);
	int rc = md5 ? sum_up(d, md5, &err) : -1;

	if (md5)
		md5_end(md5, text);
	if (rc > 0 && compare(d, text, &err) < 0) {
		part_discard(&d->part);
		rc = -1;
	}
	if (rc < 0)
		download_fail(d, &err);
	return NULL;
}

/* --- the threads --- */

int download_threads_start(struct download *d, struct err *err)
{
	long cpus = sysconf(_SC_NPROCESSORS_ONLN);
	unsigned wanted = cpus > 2 ? cpus < DOWNLOAD_WRITERS_MAX ? (unsigned)cpus : DOWNLOAD_WRITERS_MAX : 2;
	int rc = 0;

	while (rc == 0 && d->writer_count < wanted) {
		rc = pthread_create(&d->writers[d->writer_count], NULL, write_all, d);
		d->writer_count += rc == 0;
	}
	if (rc == 0 && d->sum_whole) {
		rc = pthread_create(&d->follower, NULL, follow, d);
		d->has_follower = rc == 0;
	}
	return rc ? err_set_errno(err, rc, "can't start a thread") : 0;
}

void download_threads_end(struct download *d)
{
	pthread_mutex_lock(&d->lock);
	d->ending = true;
	pthread_cond_broadcast(&d->changed);
	pthread_mutex_unlock(&d->lock);
	for (unsigned i = 0; i < d->writer_count; i++)
		pthread_join(d->writers[i], NULL);
	if (d->has_follower)
		pthread_join(d->follower, NULL);
}

/* reader_blob.c - a package in a blob, read by ranges. */
#include <config.h>

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "blob/base/cleanup.h"
#include "blob/config.h"
#include "pack/reader.h"
#include "pack/zip_format.h"

#define RANGE (4u << 20)          /* bytes of one request */
#define SCAN_FIRST (64u << 10)    /* of the first look for the end, and of the last */
#define SCAN_MAX (64u << 20)      /* so many zeros are no padding */
#define END_MAX (ZIP_END_SIZE + 65535u)

/* A large read: all its requests at once, the client keeps them in line. */
struct gather {
	pthread_mutex_t lock;
	pthread_cond_t all_done;
	size_t left;        /* requests without an answer */
	struct err err;     /* of the first that failed */
};

static void range_done(void *arg, const struct blob_reply *reply)
{
	struct gather *g = arg;

	pthread_mutex_lock(&g->lock);
	if (reply->err.code && !g->err.code)
		g->err = reply->err;
	if (!--g->left)
		pthread_cond_signal(&g->all_done);
	pthread_mutex_unlock(&g->lock);
}

static int read_parallel(const struct pack_blob *b, uint64_t offset, char *data, size_t len,
			 struct err *err)
{
	struct gather g = { .lock = PTHREAD_MUTEX_INITIALIZER, .all_done = PTHREAD_COND_INITIALIZER,
			    .left = (len + RANGE - 1) / RANGE };

	for (size_t done = 0; done < len; done += RANGE) {
		struct iovec iov = { data + done, len - done < RANGE ? len - done : RANGE };

		blob_get_range_start(b->client, &b->ref, offset + done, &iov, 1, b->props.etag,
				     range_done, &g);
	}
	pthread_mutex_lock(&g.lock);
	while (g.left)
		pthread_cond_wait(&g.all_done, &g.lock);
	pthread_mutex_unlock(&g.lock);
	pthread_cond_destroy(&g.all_done);
	pthread_mutex_destroy(&g.lock);
	if (!g.err.code)
		return 0;
	if (err)
		*err = g.err;
	return -1;
}

static int blob_read(const struct pack_reader *r, uint64_t offset, void *data, size_t len,
		     struct err *err)
{
	const struct pack_blob *b = (const struct pack_blob *)r;

	if (offset > r->size || len > r->size - offset)
		return err_set(err, ERR_RANGE, "%s: %zu bytes at %llu lie outside of it", r->name, len,
			       (unsigned long long)offset);
	if (!len)
		return 0;
	if (len > RANGE)
		return read_parallel(b, offset, data, len, err);
	return blob_get_range(b->client, &b->ref, offset, data, len, b->props.etag, err);
}

/* Where what is not zero ends, 0 if there is nothing. */
static int find_content_end(struct pack_blob *b, uint64_t *end, struct err *err)
{
	cleanup_free uint8_t *data = malloc(RANGE);
	uint64_t at = b->props.size, step = SCAN_FIRST;

	if (!data)
		return err_set(err, ERR_NO_MEMORY, "%s: out of memory", b->name);
	while (at && b->props.size - at < SCAN_MAX) {
		size_t len = (size_t)(at < step ? at : step);

		at -= len;
		if (blob_read(&b->reader, at, data, len, err) < 0)
			return -1;
		while (len && !data[len - 1])
			len--;
		if (len) {
			*end = at + len;
			return 0;
		}
		step = step * 4 < RANGE ? step * 4 : RANGE;
	}
	*end = 0;
	if (!at)
		return 0;
	return err_set(err, ERR_FORMAT, "%s: ends in more than %u MiB of zeros, which no package does",
		       b->name, SCAN_MAX >> 20);
}

/* The end record may itself end in zeros (an empty comment does): from its
 * signature on it says how long it is. */
static int find_package_end(struct pack_blob *b, uint64_t *size, struct err *err)
{
	cleanup_free uint8_t *data = NULL;
	uint64_t content, start;
	size_t len, i;

	if (find_content_end(b, &content, err) < 0)
		return -1;
	*size = content;
	start = content > END_MAX ? content - END_MAX : 0;
	len = (size_t)((content + ZIP_END_SIZE < b->props.size ? content + ZIP_END_SIZE : b->props.size) -
		       start);
	if (len < ZIP_END_SIZE || !content)
		return 0;
	data = malloc(len);
	if (!data)
		return err_set(err, ERR_NO_MEMORY, "%s: out of memory", b->name);
	if (blob_read(&b->reader, start, data, len, err) < 0)
		return -1;
	for (i = len - ZIP_END_SIZE + 1; i-- > 0;)
		if (zip_u32(data + i) == ZIP_END_SIG) {
			uint64_t end = start + i + ZIP_END_SIZE + zip_u16(data + i + 20);

			if (end > content)
				*size = end < b->props.size ? end : b->props.size;
			return 0;
		}
	return 0;
}

static int find_size(struct pack_blob *b, struct err *err)
{
	const char *length = blob_meta_get(&b->props.meta, PACK_META_LENGTH);
	uint64_t size;

	if (b->props.type != BLOB_TYPE_PAGE)
		return 0;
	/* Others may use this name for something else. */
	if (length && parse_size(length, &size) == 0 && size && size <= b->props.size) {
		b->reader.size = size;
		return 0;
	}
	if (find_package_end(b, &size, err) < 0)
		return -1;
	b->reader.size = size;
	return 0;
}

int pack_blob_open_as(struct pack_blob *b, struct blob_client *client, const struct blob_ref *ref,
		      struct blob_props *props, struct err *err)
{
	memset(b, 0, sizeof(*b));
	b->client = client;
	b->ref = *ref;
	b->props = *props;
	memset(props, 0, sizeof(*props));
	snprintf(b->name, sizeof(b->name), "%s/%s", ref->container, ref->blob);
	b->reader = (struct pack_reader){ .name = b->name, .size = b->props.size, .read = blob_read };
	if (find_size(b, err) == 0)
		return 0;
	pack_blob_close(b);
	return -1;
}

int pack_blob_open(struct pack_blob *b, struct blob_client *client, const struct blob_ref *ref,
		   struct err *err)
{
	struct blob_props props;

	if (blob_get_props(client, ref, &props, err) < 0)
		return -1;
	return pack_blob_open_as(b, client, ref, &props, err);
}

void pack_blob_close(struct pack_blob *b)
{
	blob_props_free(&b->props);
	memset(b, 0, sizeof(*b));
}

#include <config.h>

#include "tests/unit/model_blob.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

/* The service's five states; which of them it is follows from the clock. */
enum state { AVAILABLE, LEASED, BREAKING, BROKEN, EXPIRED };

struct model_blob {
	pthread_mutex_t lock;
	uint64_t size;
	unsigned unit_ms;
	bool loose, deleted;
	unsigned char *data;
	unsigned char *written;   /* one byte for each page */
	uint64_t version;         /* grows with each change; the ETag shows it scrambled */
	struct blob_meta_list meta;

	bool has_lease;           /* else AVAILABLE */
	bool broken_off;          /* break was asked for */
	char id[BLOB_LEASE_ID_MAX];
	unsigned duration_s;
	int64_t expires_at, broken_at;
};

int64_t model_now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

struct model_blob *model_blob_new(uint64_t size, unsigned unit_ms)
{
	struct model_blob *b = calloc(1, sizeof(*b));

	b->size = size;
	b->unit_ms = unit_ms;
	b->data = calloc(1, size);
	b->written = calloc(1, size / BLOB_PAGE);
	pthread_mutex_init(&b->lock, NULL);
	return b;
}

void model_blob_free(struct model_blob *b)
{
	blob_meta_free(&b->meta);
	pthread_mutex_destroy(&b->lock);
	free(b->data);
	free(b->written);
	free(b);
}

void model_blob_loose(struct model_blob *b)
{
	b->loose = true;
}

void model_blob_delete(struct model_blob *b)
{
	pthread_mutex_lock(&b->lock);
	b->deleted = true;
	pthread_mutex_unlock(&b->lock);
}

uint64_t model_blob_size(const struct model_blob *b)
{
	return b->size;
}

static enum state state_of(const struct model_blob *b)
{
	int64_t now = model_now();

	if (!b->has_lease)
		return AVAILABLE;
	if (b->broken_off)
		return now < b->broken_at ? BREAKING : BROKEN;
	return now < b->expires_at ? LEASED : EXPIRED;
}

static int refuse(struct err *err, int status, const char *code)
{
	enum err_code c = status == 404 ? ERR_NOT_FOUND :
			  status == 416 ? ERR_RANGE :
			  status == 400 ? ERR_PROTOCOL :
			  status == 409 ? ERR_LEASE_HELD : ERR_LEASE_LOST;

	err_set(err, c, "model/disk.vhd: %s", code);
	if (err) {
		err->http_status = status;
		snprintf(err->service_code, sizeof(err->service_code), "%s", code);
	}
	return -1;
}

static int check(const struct model_blob *b, struct err *err)
{
	return b->deleted ? refuse(err, 404, "BlobNotFound") : 0;
}

static int check_range(const struct model_blob *b, uint64_t offset, uint64_t len, struct err *err)
{
	if (offset % BLOB_PAGE || len % BLOB_PAGE || !len)
		return refuse(err, 416, "InvalidPageRange");
	if (offset > b->size || len > b->size - offset)
		return refuse(err, 416, "InvalidRange");
	return 0;
}

/* The column of the table for writes. What is written without an id when the
 * lease has ended clears it. */
static int check_write(struct model_blob *b, const char *lease_id, struct err *err)
{
	enum state s = state_of(b);

	if (!lease_id) {
		if (s == LEASED || s == BREAKING)
			return refuse(err, 412, "LeaseIdMissing");
		b->has_lease = false;
		return 0;
	}
	if (s == AVAILABLE)
		return refuse(err, 412, "LeaseNotPresentWithBlobOperation");
	if (strcmp(lease_id, b->id))
		return refuse(err, 412, "LeaseIdMismatchWithBlobOperation");
	if (s == BROKEN || s == EXPIRED)
		return refuse(err, 412, "LeaseLost");
	return 0;
}

/* Distinct for each version, and in no order that one could lean on. */
static void etag_of(const struct model_blob *b, char *out)
{
	if (out)
		snprintf(out, BLOB_ETAG_MAX, "\"0x%016llX\"",
			 (unsigned long long)(b->version * UINT64_C(0x9E3779B97F4A7C15)));
}

int model_blob_put(struct model_blob *b, uint64_t offset, uint64_t len, const void *data,
		   const char *lease_id, char *etag, struct err *err)
{
	int rc = -1;

	pthread_mutex_lock(&b->lock);
	if (check(b, err) < 0 || check_range(b, offset, len, err) < 0)
		goto out;
	if (data && len > BLOB_MAX_PUT_PAGE) {
		refuse(err, 400, "RequestBodyTooLarge");
		goto out;
	}
	if (check_write(b, lease_id, err) < 0)
		goto out;
	if (data)
		memcpy(b->data + offset, data, len);
	else
		memset(b->data + offset, 0, len);
	memset(b->written + offset / BLOB_PAGE, data != NULL, len / BLOB_PAGE);
	b->version++;
	etag_of(b, etag);
	rc = 0;
out:
	pthread_mutex_unlock(&b->lock);
	return rc;
}

int model_blob_get(struct model_blob *b, uint64_t offset, uint64_t len, void *data, struct err *err)
{
	int rc = -1;

	pthread_mutex_lock(&b->lock);
	if (check(b, err) == 0 && check_range(b, offset, len, err) == 0) {
		memcpy(data, b->data + offset, len);
		rc = 0;
	}
	pthread_mutex_unlock(&b->lock);
	return rc;
}

int model_blob_list(struct model_blob *b, uint64_t offset, uint64_t len, struct blob_range **ranges,
		    size_t *count, struct err *err)
{
	uint64_t page, first = offset / BLOB_PAGE, end = (offset + len) / BLOB_PAGE;
	int rc = -1;

	*count = 0;
	*ranges = malloc((len / BLOB_PAGE / 2 + 1) * sizeof(**ranges));
	pthread_mutex_lock(&b->lock);
	if (check(b, err) < 0 || check_range(b, offset, len, err) < 0)
		goto out;
	for (page = first; page < end; page++) {
		if (!b->written[page])
			continue;
		if (page > first && b->written[page - 1])
			(*ranges)[*count - 1].len += BLOB_PAGE;
		else
			(*ranges)[(*count)++] = (struct blob_range){ page * BLOB_PAGE, BLOB_PAGE };
	}
	rc = 0;
out:
	pthread_mutex_unlock(&b->lock);
	return rc;
}

static void set_expiry(struct model_blob *b)
{
	b->expires_at = model_now() + (int64_t)b->duration_s * b->unit_ms;
}

static int do_acquire(struct model_blob *b, const char *id, unsigned duration_s, struct err *err)
{
	enum state s = state_of(b);

	if (duration_s < 15 || duration_s > 60)
		return refuse(err, 400, "InvalidHeaderValue");
	if (s == LEASED && strcmp(id, b->id))
		return refuse(err, 409, "LeaseAlreadyPresent");
	if (s == BREAKING)
		return refuse(err, 409, strcmp(id, b->id) ? "LeaseAlreadyPresent" :
							     "LeaseIsBreakingAndCannotBeAcquired");
	b->has_lease = true;
	b->broken_off = false;
	b->duration_s = duration_s;
	snprintf(b->id, sizeof(b->id), "%s", id);
	set_expiry(b);
	return 0;
}

static int do_renew(struct model_blob *b, const char *id, struct err *err)
{
	enum state s = state_of(b);
	bool match = !strcmp(id, b->id);

	if (s == AVAILABLE)
		return refuse(err, 409, "LeaseNotPresentWithLeaseOperation");
	if (s == BREAKING || s == BROKEN)
		return refuse(err, 409, match ? "LeaseIsBrokenAndCannotBeRenewed" :
						"LeaseIdMismatchWithLeaseOperation");
	if (!match && !(s == EXPIRED && b->loose))
		return refuse(err, 409, "LeaseIdMismatchWithLeaseOperation");
	set_expiry(b);
	return 0;
}

static int do_change(struct model_blob *b, const char *id, const char *new_id, struct err *err)
{
	switch (state_of(b)) {
	case LEASED:
		if (strcmp(id, b->id) && strcmp(new_id, b->id))
			return refuse(err, 409, "LeaseIdMismatchWithLeaseOperation");
		snprintf(b->id, sizeof(b->id), "%s", new_id);
		return 0;
	case BREAKING:
		return refuse(err, 409, "LeaseIsBreakingAndCannotBeChanged");
	default:
		return refuse(err, 409, "LeaseNotPresentWithLeaseOperation");
	}
}

static int do_release(struct model_blob *b, const char *id, struct err *err)
{
	if (!b->has_lease || strcmp(id, b->id))
		return refuse(err, 409, "LeaseIdMismatchWithLeaseOperation");
	b->has_lease = false;
	return 0;
}

static int do_break(struct model_blob *b, unsigned period_s, struct err *err)
{
	enum state s = state_of(b);
	int64_t until = model_now() + (int64_t)period_s * b->unit_ms;

	if (s == AVAILABLE)
		return refuse(err, 409, "LeaseNotPresentWithLeaseOperation");
	if (s == LEASED || s == EXPIRED)
		b->broken_at = b->expires_at;
	if (until < b->broken_at)
		b->broken_at = until;
	b->broken_off = true;
	return 0;
}

int model_blob_acquire(struct model_blob *b, const char *id, unsigned duration_s, struct err *err)
{
	int rc;

	pthread_mutex_lock(&b->lock);
	rc = check(b, err) < 0 ? -1 : do_acquire(b, id, duration_s, err);
	pthread_mutex_unlock(&b->lock);
	return rc;
}

int model_blob_renew(struct model_blob *b, const char *id, struct err *err)
{
	int rc;

	pthread_mutex_lock(&b->lock);
	rc = check(b, err) < 0 ? -1 : do_renew(b, id, err);
	pthread_mutex_unlock(&b->lock);
	return rc;
}

int model_blob_change(struct model_blob *b, const char *id, const char *new_id, struct err *err)
{
	int rc;

	pthread_mutex_lock(&b->lock);
	rc = check(b, err) < 0 ? -1 : do_change(b, id, new_id, err);
	pthread_mutex_unlock(&b->lock);
	return rc;
}

int model_blob_release(struct model_blob *b, const char *id, struct err *err)
{
	int rc;

	pthread_mutex_lock(&b->lock);
	rc = check(b, err) < 0 ? -1 : do_release(b, id, err);
	pthread_mutex_unlock(&b->lock);
	return rc;
}

int model_blob_break(struct model_blob *b, unsigned period_s, struct err *err)
{
	int rc;

	pthread_mutex_lock(&b->lock);
	rc = check(b, err) < 0 ? -1 : do_break(b, period_s, err);
	pthread_mutex_unlock(&b->lock);
	return rc;
}

int model_blob_props(struct model_blob *b, struct blob_props *out, struct err *err)
{
	static const char *const names[] = { "available", "leased", "breaking", "broken", "expired" };
	int rc;

	memset(out, 0, sizeof(*out));
	pthread_mutex_lock(&b->lock);
	rc = check(b, err);
	if (rc == 0) {
		out->type = BLOB_TYPE_PAGE;
		out->size = b->size;
		etag_of(b, out->etag);
		snprintf(out->lease_state, sizeof(out->lease_state), "%s", names[state_of(b)]);
		blob_meta_copy(&out->meta, &b->meta);
	}
	pthread_mutex_unlock(&b->lock);
	return rc;
}

int model_blob_set_meta(struct model_blob *b, const struct blob_meta_list *meta, const char *lease_id,
			char *etag, struct err *err)
{
	int rc = -1;

	pthread_mutex_lock(&b->lock);
	if (check(b, err) == 0 && check_write(b, lease_id, err) == 0) {
		blob_meta_free(&b->meta);
		blob_meta_copy(&b->meta, meta);
		b->version++;
		etag_of(b, etag);
		rc = 0;
	}
	pthread_mutex_unlock(&b->lock);
	return rc;
}

bool model_blob_leased_as(struct model_blob *b, const char *id)
{
	bool yes;

	pthread_mutex_lock(&b->lock);
	yes = state_of(b) == LEASED && !strcmp(id, b->id);
	pthread_mutex_unlock(&b->lock);
	return yes;
}

void model_blob_lease_id(struct model_blob *b, char out[BLOB_LEASE_ID_MAX])
{
	pthread_mutex_lock(&b->lock);
	memcpy(out, b->id, BLOB_LEASE_ID_MAX);
	pthread_mutex_unlock(&b->lock);
}

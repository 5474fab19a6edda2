#include <config.h>

#include "tests/unit/upload_rig.h"

#include <errno.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tests/unit/unit.h"

struct service service = { .lock = PTHREAD_MUTEX_INITIALIZER };
static unsigned processors;

struct request {
	uint64_t offset;
	const char *data;
	size_t len;
	char md5[MD5_TEXT_MAX];
	char lease[BLOB_LEASE_ID_MAX], id[64];
	blob_done_fn *done;
	void *arg;
};

static enum fault next_fault(void)
{
	if (service.requests < service.fault_from ||
	    service.requests >= service.fault_from + service.fault_count)
		return FAULT_NONE;
	return service.fault;
}

/* Do the bytes fit their MD5 when they arrive? */
static bool fits(const struct request *r, enum fault fault)
{
	char *came = malloc(r->len), md5[MD5_TEXT_MAX];

	memcpy(came, r->data, r->len);
	if (fault == FAULT_DAMAGE)
		came[r->len / 2] ^= 1;
	assert_int_equal(md5_of(came, r->len, md5, NULL), 0);
	free(came);
	return !strcmp(md5, r->md5);
}

static void *serve(void *arg)
{
	struct request *r = arg;
	struct blob_reply reply = { .err = { .code = ERR_NONE } };
	enum fault fault;

	pthread_mutex_lock(&service.lock);
	fault = next_fault();
	service.requests++;
	if (service.grow_on_request)
		assert_int_equal(truncate(service.file, SIZE + 1), 0);
	if (fault == FAULT_ERROR) {
		err_set(&reply.err, ERR_SERVER, "the service is on fire");
	} else if (fault == FAULT_LEASE || (*r->lease && strcmp(r->lease, service.lease))) {
		err_set(&reply.err, ERR_LEASE_LOST, "not your lease");
	} else if (fault == FAULT_UNKNOWN) {
		err_set(&reply.err, ERR_NETWORK, "reset");
		reply.outcome_unknown = true;
	} else if (!fits(r, fault)) {
		err_set(&reply.err, ERR_NETWORK, "damaged");
		reply.err.http_status = 400;
		snprintf(reply.err.service_code, sizeof(reply.err.service_code), "Md5Mismatch");
	}
	if (!reply.err.code && *r->id) {
		snprintf(service.ids[service.blocks], 64, "%s", r->id);
		service.block_offsets[service.blocks] = service.received;
		service.block_lens[service.blocks++] = r->len;
		memcpy(service.bytes + service.received, r->data, r->len);
		service.received += r->len;
	} else if (!reply.err.code) {
		memcpy(service.bytes + r->offset, r->data, r->len);
		service.received += r->len;
		service.last_offset = r->offset;
		for (uint64_t page = r->offset / P; page < (r->offset + r->len) / P; page++)
			service.writes[page]++;
	}
	service.in_flight--;
	pthread_mutex_unlock(&service.lock);
	r->done(r->arg, &reply);
	free(r);
	return NULL;
}

static void start(struct request r)
{
	struct request *copy = malloc(sizeof(r));
	pthread_t thread;

	*copy = r;
	pthread_mutex_lock(&service.lock);
	if (++service.in_flight > service.most_in_flight)
		service.most_in_flight = service.in_flight;
	pthread_mutex_unlock(&service.lock);
	pthread_create(&thread, NULL, serve, copy);
	pthread_detach(thread);
}

void blob_put_pages_start(struct blob_client *c, const struct blob_ref *ref, uint64_t offset,
			  const struct iovec *iov, int count, const char *md5, const char *lease_id,
			  blob_done_fn *done, void *arg)
{
	struct request r = { .offset = offset, .data = iov->iov_base, .len = iov->iov_len, .done = done, .arg = arg };

	assert_int_equal(count, 1);
	assert_true(offset % P == 0 && iov->iov_len % P == 0 && iov->iov_len <= BLOCK && iov->iov_len);
	snprintf(r.md5, sizeof(r.md5), "%s", md5);
	if (lease_id)
		snprintf(r.lease, sizeof(r.lease), "%s", lease_id);
	start(r);
}

void blob_put_block_start(struct blob_client *c, const struct blob_ref *ref, const char *id,
			  const struct iovec *iov, int count, const char *md5, const char *lease_id,
			  blob_done_fn *done, void *arg)
{
	struct request r = { .data = iov->iov_base, .len = iov->iov_len, .done = done, .arg = arg };

	assert_null(lease_id);
	snprintf(r.md5, sizeof(r.md5), "%s", md5);
	snprintf(r.id, sizeof(r.id), "%s", id);
	start(r);
}

int blob_put_block_list(struct blob_client *c, const struct blob_ref *ref, const char *const *ids,
			size_t count, const struct blob_meta_list *meta, const char *content_type,
			const char *md5, const char *lease_id, struct err *err)
{
	snprintf(service.md5, sizeof(service.md5), "%s", md5);
	service.committed = calloc(1, SIZE * 2);
	for (size_t i = 0; i < count; i++) {
		unsigned b = 0;

		while (b < service.blocks && strcmp(service.ids[b], ids[i]))
			b++;
		if (b == service.blocks)
			return err_set(err, ERR_USAGE, "no such block");
		assert_int_equal(strlen(ids[i]), strlen(ids[0]));
		memcpy(service.committed + service.committed_size, service.bytes + service.block_offsets[b],
		       service.block_lens[b]);
		service.committed_size += service.block_lens[b];
	}
	return 0;
}

int service_lease(void *arg, char id[BLOB_LEASE_ID_MAX], uint64_t *generation)
{
	bool *renews = arg;

	pthread_mutex_lock(&service.lock);
	*generation = service.generation;
	if (renews && *renews && service.requests > service.fault_from)
		*generation = 2;
	snprintf(id, BLOB_LEASE_ID_MAX, "%s", service.lease);
	pthread_mutex_unlock(&service.lock);
	return 0;
}

void service_reset(const char *file)
{
	service_free();
	service = (struct service){
		.lock = PTHREAD_MUTEX_INITIALIZER,
		.bytes = calloc(1, SIZE * 2),
		.lease = "lease-1",
		.generation = 1,
		.file = file,
	};
	assert_non_null(service.bytes);
	rig_set_processors(4);
}

void service_free(void)
{
	free(service.bytes);
	free(service.committed);
	service.bytes = service.committed = NULL;
}

/* --- processors --- */

int __wrap_sched_getaffinity(pid_t pid, size_t size, cpu_set_t *set);

int __wrap_sched_getaffinity(pid_t pid, size_t size, cpu_set_t *set)
{
	if (!processors) {
		errno = EINVAL;
		return -1;
	}
	CPU_ZERO_S(size, set);
	for (unsigned i = 0; i < processors; i++)
		CPU_SET_S(2 * i + 1, size, set);
	return 0;
}

void rig_set_processors(unsigned count)
{
	processors = count;
}

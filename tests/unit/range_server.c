#include <config.h>

#include "tests/unit/range_server.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

#include "tests/unit/unit.h"
#include "tests/unit/wait.h"

#define PIECE 65536u

uint8_t range_byte(uint32_t version, uint64_t offset)
{
	uint64_t h = (offset + version * UINT64_C(7919)) * 0x9e3779b97f4a7c15u;

	return (uint8_t)(h >> 56);
}

void range_etag(uint32_t version, char *out, size_t size)
{
	snprintf(out, size, "\"v%u\"", version);
}

/* --- a request --- */

/* With the lock. */
static struct range_fault *fault_of(struct range_server *s, const struct range_blob *b, uint64_t from,
				    uint64_t to)
{
	for (unsigned i = 0; i < s->nfaults; i++) {
		struct range_fault *f = &s->faults[i];

		if (f->blob == b && f->times && from < f->to && f->from < to)
			return f;
	}
	return NULL;
}

static struct range_blob *find(struct range_server *s, const char *target)
{
	static const char folder[] = "/acc/c/";
	size_t len;

	if (strncmp(target, folder, strlen(folder)) != 0)
		return NULL;
	target += strlen(folder);
	len = strcspn(target, "?");
	for (unsigned i = 0; i < s->nblobs; i++)
		if (strlen(s->blobs[i].name) == len && !strncmp(s->blobs[i].name, target, len))
			return &s->blobs[i];
	return NULL;
}

static void send_body(int fd, const struct range_blob *b, uint64_t from, uint64_t to)
{
	uint8_t piece[PIECE];

	while (from < to) {
		size_t n = to - from < PIECE ? (size_t)(to - from) : PIECE;

		for (size_t i = 0; i < n; i++)
			piece[i] = b->data ? b->data[from + i] : range_byte(b->version, from + i);
		httpd_send(fd, piece, n);
		from += n;
	}
}

static enum httpd_then refuse(int fd, int status, const char *code)
{
	char headers[128];

	snprintf(headers, sizeof(headers), "x-ms-error-code: %s\r\n", code);
	httpd_reply(fd, status, headers, "", 0);
	return HTTPD_KEEP;
}

static enum httpd_then send_range(int fd, const struct range_blob *b, uint64_t from, uint64_t to,
				  bool cut)
{
	char head[512], etag[32];

	range_etag(b->version, etag, sizeof(etag));
	snprintf(head, sizeof(head), "HTTP/1.1 206 x\r\nETag: %s\r\nContent-Length: %llu\r\n"
		 "Content-Range: bytes %llu-%llu/%llu\r\n\r\n", etag, (unsigned long long)(to - from),
		 (unsigned long long)from, (unsigned long long)to - 1, (unsigned long long)b->size);
	httpd_text(fd, head);
	send_body(fd, b, from, cut ? from + (to - from) / 2 : to);
	return cut ? HTTPD_CLOSE : HTTPD_KEEP;
}

/* With the lock: once nothing holds it any more, what becomes of it. */
static struct range_fault let_through(struct range_server *s, const struct range_blob *b, uint64_t from,
				      uint64_t to)
{
	struct range_fault none = { .blob = NULL }, *f;

	s->held++;
	f = fault_of(s, b, from, to);
	if (f && f->what == RANGE_HOLD)
		pthread_cond_broadcast(&s->changed);
	while ((f = fault_of(s, b, from, to)) && f->what == RANGE_HOLD)
		pthread_cond_wait(&s->changed, &s->lock);
	s->held--;
	if (f)
		f->times--;
	return f ? *f : none;
}

static enum httpd_then serve(int fd, const struct httpd_request *r, void *arg)
{
	struct range_server *s = arg;
	unsigned long long first = 0, last = 0;
	struct range_blob *known, b;
	struct range_fault fault;
	char value[128], etag[32];
	bool cut;

	pthread_mutex_lock(&s->lock);
	known = find(s, r->target);
	if (!known || !httpd_header(r, "Range", value, sizeof(value)) ||
	    sscanf(value, "bytes=%llu-%llu", &first, &last) != 2 || last < first) {
		pthread_mutex_unlock(&s->lock);
		return refuse(fd, 400, "InvalidHeaderValue");
	}
	fault = let_through(s, known, first, last + 1);
	if (last + 1 > known->furthest)
		known->furthest = last + 1;
	range_etag(known->version, etag, sizeof(etag));
	b = *known;
	cut = fault.blob && fault.what == RANGE_CUT;
	if ((!fault.blob || cut) && !b.gone && last < b.size) {
		known->requests++;
		known->bytes += last + 1 - first;
	}
	pthread_cond_broadcast(&s->changed);
	pthread_mutex_unlock(&s->lock);
	if (fault.blob && !cut)
		return refuse(fd, fault.status, "ServerBusy");
	if (b.gone)
		return refuse(fd, 404, "BlobNotFound");
	if (httpd_header(r, "If-Match", value, sizeof(value)) && strcmp(value, etag) != 0)
		return refuse(fd, 412, "ConditionNotMet");
	if (last >= b.size)
		return refuse(fd, 416, "InvalidRange");
	return send_range(fd, &b, first, last + 1, cut);
}

/* --- the face --- */

void range_server_start(struct range_server *s)
{
	memset(s, 0, sizeof(*s));
	pthread_mutex_init(&s->lock, NULL);
	pthread_cond_init(&s->changed, NULL);
	httpd_start(&s->httpd, serve, s);
}

void range_server_stop(struct range_server *s)
{
	range_server_clear(s);
	httpd_stop(&s->httpd);
	pthread_mutex_destroy(&s->lock);
	pthread_cond_destroy(&s->changed);
}

struct blob_client *range_client(struct range_server *s, const struct blob_client_options *options)
{
	struct blob_account account = {
		.kind = ACCOUNT_SHARED_KEY, .name = (char[]){ "acc" }, .key = (char[]){ "b2xk" },
		.endpoint = s->httpd.endpoint, .source = (char[]){ "--key" },
	};
	struct blob_client *client;
	struct err err;

	client = blob_client_new(&account, options, &err);
	if (!client)
		fail_msg("%s", err.msg);
	return client;
}

struct range_blob *range_server_add(struct range_server *s, const char *name, const uint8_t *data,
				    uint64_t size)
{
	struct range_blob *b;

	pthread_mutex_lock(&s->lock);
	assert_true(s->nblobs < RANGE_BLOBS_MAX);
	b = &s->blobs[s->nblobs++];
	*b = (struct range_blob) { .data = data, .size = size, .version = 1 };
	snprintf(b->name, sizeof(b->name), "%s", name);
	pthread_mutex_unlock(&s->lock);
	return b;
}

void range_server_replace(struct range_server *s, struct range_blob *b)
{
	pthread_mutex_lock(&s->lock);
	b->version++;
	pthread_mutex_unlock(&s->lock);
}

void range_server_remove(struct range_server *s, struct range_blob *b)
{
	pthread_mutex_lock(&s->lock);
	b->gone = true;
	pthread_mutex_unlock(&s->lock);
}

static void add_fault(struct range_server *s, struct range_fault f)
{
	pthread_mutex_lock(&s->lock);
	assert_true(s->nfaults < RANGE_FAULTS_MAX);
	if (!f.times)
		f.times = UINT32_MAX;
	s->faults[s->nfaults++] = f;
	pthread_mutex_unlock(&s->lock);
}

void range_server_hold(struct range_server *s, struct range_blob *b, uint64_t from, uint64_t to)
{
	add_fault(s, (struct range_fault) { b, from, to, RANGE_HOLD, 0, 0 });
}

void range_server_status(struct range_server *s, struct range_blob *b, uint64_t from, uint64_t to,
			 int status, unsigned times)
{
	add_fault(s, (struct range_fault) { b, from, to, RANGE_STATUS, status, times });
}

void range_server_cut(struct range_server *s, struct range_blob *b, uint64_t from, uint64_t to,
		      unsigned times)
{
	add_fault(s, (struct range_fault) { b, from, to, RANGE_CUT, 0, times });
}

void range_server_clear(struct range_server *s)
{
	pthread_mutex_lock(&s->lock);
	s->nfaults = 0;
	pthread_cond_broadcast(&s->changed);
	pthread_mutex_unlock(&s->lock);
}

void range_server_wait_held(struct range_server *s, unsigned count)
{
	struct timespec until;
	unsigned held;
	int rc = 0;

	clock_gettime(CLOCK_REALTIME, &until);
	until.tv_sec += WAIT_SECONDS;
	pthread_mutex_lock(&s->lock);
	while (s->held < count && !rc)
		rc = pthread_cond_timedwait(&s->changed, &s->lock, &until);
	held = s->held;
	pthread_mutex_unlock(&s->lock);
	if (rc)
		fail_msg("waited for %u held requests, and there were %u", count, held);
}

struct range_blob range_server_look(struct range_server *s, const struct range_blob *b)
{
	struct range_blob copy;

	pthread_mutex_lock(&s->lock);
	copy = *b;
	pthread_mutex_unlock(&s->lock);
	return copy;
}

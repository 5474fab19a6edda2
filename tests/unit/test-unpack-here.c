/* Small members whose packed bytes are there: inflated by whoever asks. */
#include <config.h>

#include <pthread.h>
#include <stdlib.h>

#include "fs/unpack.h"
#include "tests/unit/client_fixture.h"
#include "tests/unit/zip_image.h"

#define LARGE (129u << 10)
#define LARGEST_HERE (128u << 10)
#define READERS 8
#define MANY 20

static struct fixture f;
static struct zip_image z;
static struct pack_index ix;
static struct pack_memory mem;
static struct objects *objects;
static struct object *object;
static struct unpack *unpack;
static char text[LARGE];
static _Atomic int told; /* of damage in what was given out */

static enum httpd_then serve(int fd, const struct httpd_request *r, void *arg)
{
	unsigned long long first, last;
	char value[128], head[256];

	if (!httpd_header(r, "Range", value, sizeof(value)) ||
	    sscanf(value, "bytes=%llu-%llu", &first, &last) != 2 || last >= z.len) {
		httpd_reply(fd, 400, "", "", 0);
		return HTTPD_KEEP;
	}
	snprintf(head, sizeof(head), "HTTP/1.1 206 x\r\nETag: \"1\"\r\nContent-Length: %llu\r\n"
		 "Content-Range: bytes %llu-%llu/%zu\r\n\r\n", last - first + 1, first, last, z.len);
	httpd_text(fd, head);
	httpd_send(fd, z.data + first, (size_t)(last - first + 1));
	return HTTPD_KEEP;
}

static void on_damaged(void *arg, struct object *o, const struct pack_entry *e)
{
	told++;
}

static void add(const char *name, size_t len, struct zip_lie crc)
{
	zip_add(&z, &(struct zip_spec){ .name = name, .data = text, .len = len, .method = 8, .flags = 8, .crc = crc });
}

static const char *many_name(int i)
{
	static __thread char name[16];

	snprintf(name, sizeof(name), "many%d", i);
	return name;
}

static int setup(void **state)
{
	struct unpack_options o = { .damaged = on_damaged };
	struct err err;

	for (size_t i = 0; i < sizeof(text); i++)
		text[i] = (char)('a' + (i / 300 + i / 7000) % 23);
	add("first", 3000, (struct zip_lie){ false });
	add("second", 5000, (struct zip_lie){ false });
	add("damaged", 5000, (struct zip_lie) LIE(1));
	add("largest", LARGEST_HERE, (struct zip_lie){ false });
	for (int i = 0; i < MANY; i++)
		add(many_name(i), LARGEST_HERE, (struct zip_lie){ false });
	add("large", LARGE, (struct zip_lie){ false });
	zip_end(&z, NULL);
	assert_true(z.len < 65536);
	fixture_start(&f, serve, NULL);
	pack_memory_init(&mem, "c/app.zip", z.data, z.len);
	if (pack_index_open(&ix, &mem.reader, NULL, &err) < 0)
		fail_msg("%s", err.msg);
	objects = objects_new(f.client, &(struct objects_options){ .cache_bytes = 4u << 20 }, &err);
	object = object_open(objects, &the_blob, "\"1\"", z.len);
	unpack = unpack_new(&o, &err);
	assert_true(objects && object && unpack);
	told = 0;
	return 0;
}

static int teardown(void **state)
{
	unpack_free(unpack);
	object_close(object);
	objects_free(objects);
	pack_index_free(&ix);
	zip_free(&z);
	fixture_stop(&f);
	return 0;
}

struct reading {
	struct waited w;   /* first */
	pthread_t on;
	size_t got;
	char data[LARGE];
};

static void read_done(void *arg, const struct err *err, const struct iovec *iov, int count)
{
	struct reading *r = arg;

	r->on = pthread_self();
	r->got = 0;
	for (int i = 0; i < count; i++) {
		memcpy(r->data + r->got, iov[i].iov_base, iov[i].iov_len);
		r->got += iov[i].iov_len;
	}
	if (err)
		r->w.err = *err;
	waited_signal(&r->w);
}

static void start(struct reading *r, const char *path, uint64_t offset, uint32_t len)
{
	ssize_t at = pack_index_find(&ix, path);
	struct unpack_member m = { .object = object, .name = "c/app.zip", .directory = ix.directory_offset };

	assert_true(at > 0);
	m.entry = &ix.entries[at];
	r->w = (struct waited) WAITED_INIT;
	unpack_read(unpack, &m, offset, len, read_done, r);
}

static void reads(struct reading *r, const char *path, uint64_t offset, uint32_t len)
{
	start(r, path, offset, len);
	waited_wait(&r->w);
	assert_code(&r->w.err, ERR_NONE);
	assert_int_equal(r->got, len);
	assert_memory_equal(r->data, text + offset, len);
}

static bool was_here(const struct reading *r)
{
	return pthread_equal(r->on, pthread_self());
}

static void here(void **state)
{
	static struct reading r;
	struct unpack_stats s;
	unsigned requests;

	/* Its bytes have to come first; those of all others come with them. */
	reads(&r, "first", 0, 3000);
	assert_false(was_here(&r));
	requests = httpd_requests(&f.server);
	reads(&r, "second", 1000, 4000);
	assert_true(was_here(&r));
	reads(&r, "second", 0, 5000);
	assert_true(was_here(&r));
	reads(&r, "largest", 0, LARGEST_HERE);
	assert_true(was_here(&r));
	reads(&r, "large", 0, LARGE);
	assert_false(was_here(&r));
	assert_int_equal(httpd_requests(&f.server), requests);
	unpack_stats(unpack, &s);
	assert_int_equal(s.inflated_bytes, 3000 + 5000 + LARGEST_HERE + LARGE);
}

static void damage(void **state)
{
	static struct reading r;
	struct unpack_stats s;

	reads(&r, "first", 0, 3000);
	for (int i = 0; i < 2; i++) {
		start(&r, "damaged", 0, 100);
		waited_wait(&r.w);
		assert_code(&r.w.err, ERR_FORMAT);
		assert_says(&r.w.err, "CRC error");
		assert_int_equal(r.got, 0);
	}
	unpack_stats(unpack, &s);
	assert_int_equal(s.damaged, 1);
	assert_int_equal(told, 0);
}

static pthread_barrier_t at_once;

static void *read_many(void *arg)
{
	struct reading *r = arg;
	bool right = true;

	for (int i = 0; i < MANY; i++) {
		pthread_barrier_wait(&at_once);
		start(r, many_name(i), 0, LARGEST_HERE);
		waited_wait(&r->w);
		right = right && !r->w.err.code && !memcmp(r->data, text, LARGEST_HERE);
	}
	return right ? r : NULL;
}

static void together(void **state)
{
	static struct reading all[READERS], r;
	pthread_t threads[READERS];
	void *right[READERS];
	struct unpack_stats s;

	reads(&r, "first", 0, 3000);
	pthread_barrier_init(&at_once, NULL, READERS);
	for (int i = 0; i < READERS; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, read_many, &all[i]), 0);
	for (int i = 0; i < READERS; i++)
		pthread_join(threads[i], &right[i]);
	pthread_barrier_destroy(&at_once);
	for (int i = 0; i < READERS; i++)
		assert_non_null(right[i]);
	unpack_stats(unpack, &s);
	assert_int_equal(s.inflated_bytes, 3000 + MANY * LARGEST_HERE);
}

int main(void)
{
#define with_rig(test) cmocka_unit_test_setup_teardown(test, setup, teardown)
	const struct CMUnitTest tests[] = { with_rig(here), with_rig(damage), with_rig(together) };

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}

/* What a stream has had of an object is the first to go. */
#include <config.h>

#include <stdlib.h>

#include "tests/unit/client_fixture.h"
#include "vhd/object.h"

#define MIB (1u << 20)
#define SIZE (32u * MIB)
#define APART (31u * MIB)    /* where nobody reads in sequence */

static struct fixture f;
static struct objects *objects;
static struct object *object;
static char piece[128u << 10], data[128u << 10];
static _Atomic unsigned apart; /* requests for what lies there */

static char byte_at(uint64_t at)
{
	return (char)(at * 7 + at / 509);
}

static enum httpd_then serve(int fd, const struct httpd_request *r, void *arg)
{
	unsigned long long first, last;
	char value[128], head[256];
	char *body;

	if (!httpd_header(r, "Range", value, sizeof(value)) ||
	    sscanf(value, "bytes=%llu-%llu", &first, &last) != 2 || last >= SIZE) {
		httpd_reply(fd, 400, "", "", 0);
		return HTTPD_KEEP;
	}
	apart += first >= APART;
	body = malloc(last - first + 1);
	for (unsigned long long i = first; i <= last; i++)
		body[i - first] = byte_at(i);
	snprintf(head, sizeof(head), "HTTP/1.1 206 x\r\nETag: \"1\"\r\nContent-Length: %llu\r\n"
		 "Content-Range: bytes %llu-%llu/%u\r\n\r\n", last - first + 1, first, last, SIZE);
	httpd_text(fd, head);
	httpd_send(fd, body, (size_t)(last - first + 1));
	free(body);
	return HTTPD_KEEP;
}

static int setup(void **state)
{
	struct err err;

	fixture_start(&f, serve, NULL);
	objects = objects_new(f.client, &(struct objects_options){ .cache_bytes = 4 * MIB }, &err);
	object = object_open(objects, &the_blob, "\"1\"", SIZE);
	assert_true(objects && object);
	apart = 0;
	return 0;
}

static int teardown(void **state)
{
	object_close(object);
	objects_free(objects);
	fixture_stop(&f);
	return 0;
}

static void reads(uint64_t offset, uint32_t len)
{
	struct err err;

	if (object_read_wait(object, offset, data, len, &err) < 0)
		fail_msg("%s", err.msg);
	for (uint32_t i = 0; i < len; i++)
		piece[i] = byte_at(offset + i);
	assert_memory_equal(data, piece, len);
}

/* Pieces that end anywhere, with gaps as between members. */
static void stream(uint64_t from, uint64_t to, uint32_t step, uint32_t gap)
{
	for (; from + step < to; from += step + gap)
		reads(from, step);
}

static void stays(uint32_t step, uint32_t gap)
{
	reads(APART, 4096);
	reads(APART + MIB / 2, 4096);
	assert_int_equal(apart, 2);
	stream(0, 16 * MIB, step, gap);
	reads(APART, 4096);
	reads(APART + MIB / 2, 4096);
	assert_int_equal(apart, 2);
}

static void aligned(void **state)
{
	stays(128u << 10, 0);
}

static void anywhere(void **state)
{
	stays(99991, 0);
}

static void gaps(void **state)
{
	stays(50021, 46);
}

int main(void)
{
#define with_rig(test) cmocka_unit_test_setup_teardown(test, setup, teardown)
	const struct CMUnitTest tests[] = { with_rig(aligned), with_rig(anywhere), with_rig(gaps) };

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}

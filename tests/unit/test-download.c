/* The download engine against a server that has one blob and faults as told. */
#include <config.h>

#include "client_fixture.h"

#include <fcntl.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "blob/download.h"
#include "blob/download_part.h"
#include "blob/md5.h"
#include "tests/unit/scratch.h"

enum { SIZE = 3000001, BLOCK = 100000, BLOCKS = 31 };
#define MODIFIED "Sat, 21 Nov 2026 07:15:00 GMT"

/* Guarded by its lock: the server has many threads. */
static struct service {
	pthread_mutex_t lock;
	char *bytes;
	char etag[16];
	bool sums;                 /* it sends MD5s */
	bool page;
	unsigned gets;             /* requests for ranges */
	uint64_t sent;             /* bytes of them */
	unsigned fault_from, fault_count;  /* gets that go wrong: from this one, so many */
	enum fault { NONE, FLIP, SHORT, REPLACED, REFUSE } fault;
	uint64_t allocated[8];     /* of the page blob: start, end, start... */
} service = { .lock = PTHREAD_MUTEX_INITIALIZER };

static struct fixture f;
static struct blob_props props;
static struct download_stats stats;
static struct err err;
static char file[4096];
static const char *path;

static void send_range(int fd, const struct httpd_request *r, enum fault fault)
{
	char range[64], headers[400], md5[MD5_TEXT_MAX];
	unsigned long long first, last;
	char *copy;
	size_t len;

	assert_non_null(httpd_header(r, "Range", range, sizeof(range)));
	assert_int_equal(sscanf(range, "bytes=%llu-%llu", &first, &last), 2);
	len = last - first + 1;
	assert_true(last < SIZE + BLOB_PAGE && len <= BLOB_MAX_SUM);
	copy = malloc(len);
	memcpy(copy, service.bytes + first, len);
	assert_int_equal(md5_of(copy, len, md5, NULL), 0);
	if (fault == FLIP)
		copy[len / 3] ^= 4;
	snprintf(headers, sizeof(headers), "ETag: %s\r\nContent-Range: bytes %llu-%llu/%u\r\n%s%s%s",
		 service.etag, first, last, SIZE + 511, service.sums ? "Content-MD5: " : "",
		 service.sums ? md5 : "", service.sums ? "\r\n" : "");
	if (fault == SHORT) {
		char head[600];

		snprintf(head, sizeof(head), "HTTP/1.1 206 x\r\n%sContent-Length: %zu\r\n\r\n", headers, len);
		httpd_text(fd, head);
		httpd_send(fd, copy, len / 2);
	} else {
		httpd_reply(fd, 206, headers, copy, len);
		service.sent += len;
	}
	free(copy);
}

static void send_pages(int fd)
{
	char xml[1000] = "<?xml version=\"1.0\"?><PageList>";

	for (size_t i = 0; i < 8 && service.allocated[i + 1]; i += 2)
		sprintf(xml + strlen(xml), "<PageRange><Start>%llu</Start><End>%llu</End></PageRange>",
			(unsigned long long)service.allocated[i],
			(unsigned long long)service.allocated[i + 1] - 1);
	strcat(xml, "</PageList>");
	httpd_reply(fd, 200, "", xml, strlen(xml));
}

static enum httpd_then serve_locked(int fd, const struct httpd_request *r)
{
	enum fault fault = service.gets >= service.fault_from &&
		service.gets - service.fault_from < service.fault_count ? service.fault : NONE;
	char value[100], headers[200];

	if (!strcmp(r->method, "HEAD")) {
		snprintf(headers, sizeof(headers), "ETag: %s\r\n", service.etag);
		httpd_reply(fd, 200, headers, "", 0);
		return HTTPD_KEEP;
	}
	if (strstr(r->target, "comp=pagelist")) {
		send_pages(fd);
		return HTTPD_KEEP;
	}
	service.gets++;
	assert_non_null(httpd_header(r, "x-ms-range-get-content-md5", value, sizeof(value)));
	assert_non_null(httpd_header(r, "If-Match", value, sizeof(value)));
	if (fault == REPLACED)
		strcpy(service.etag, "\"two\"");
	if (fault == REFUSE) {
		httpd_reply(fd, 400, "", "", 0);
		return HTTPD_KEEP;
	}
	if (strcmp(value, service.etag)) {
		httpd_reply(fd, 412, "x-ms-error-code: ConditionNotMet\r\n", "", 0);
		return HTTPD_KEEP;
	}
	send_range(fd, r, fault);
	return fault == SHORT ? HTTPD_CLOSE : HTTPD_KEEP;
}

static enum httpd_then serve(int fd, const struct httpd_request *r, void *arg)
{
	enum httpd_then then;

	pthread_mutex_lock(&service.lock);
	then = serve_locked(fd, r);
	pthread_mutex_unlock(&service.lock);
	return then;
}

/* --- the tests --- */

static int setup(void **state)
{
	unsigned seed = 3;

	service.bytes = realloc(service.bytes, SIZE + BLOB_PAGE);
	for (int i = 0; i < SIZE; i++)
		service.bytes[i] = (char)rand_r(&seed);
	memset(service.bytes + SIZE, 0, BLOB_PAGE);
	strcpy(service.etag, "\"one\"");
	service.sums = true;
	service.fault_from = service.fault_count = service.gets = 0;
	service.sent = 0;
	memset(service.allocated, 0, sizeof(service.allocated));
	props = (struct blob_props){ .type = BLOB_TYPE_BLOCK, .size = SIZE, .etag = "\"one\"",
				     .last_modified = MODIFIED };
	snprintf(file, sizeof(file), "%s", scratch_path("file"));
	path = file;
	unlink(path);
	unlink(scratch_path("file.part"));
	unlink(scratch_path("file.part.state"));
	fixture_start(&f, serve, &(struct blob_client_options){ .connections = 4 });
	return 0;
}

static int teardown(void **state)
{
	fixture_stop(&f);
	return 0;
}

static void count(void *arg, uint64_t done, uint64_t total)
{
	uint64_t *last = arg;

	assert_true(done >= *last && done <= total);
	*last = done;
}

static int get_blocks(uint64_t size, uint64_t block)
{
	uint64_t last = 0;
	struct download_options o = { .block_size = block, .progress = count, .arg = &last };

	return download_file(f.client, &the_blob, &props, size, path, &o, &stats, &err);
}

static int get(void)
{
	return get_blocks(SIZE, BLOCK);
}

static void is_whole(uint64_t size)
{
	char *data = malloc(size + 2);
	int fd = open(path, O_RDONLY);
	struct stat st;

	assert_true(fd >= 0);
	assert_int_equal(read(fd, data, size + 2), size);
	assert_memory_equal(data, service.bytes, size);
	assert_int_equal(fstat(fd, &st), 0);
	assert_int_equal(st.st_mtim.tv_sec, 1795245300);
	close(fd);
	free(data);
	assert_int_equal(access(scratch_path("file.part"), F_OK), -1);
	assert_int_equal(access(scratch_path("file.part.state"), F_OK), -1);
}

static void is_part(bool there)
{
	assert_int_equal(access(scratch_path("file.part"), F_OK), there ? 0 : -1);
	assert_int_equal(access(scratch_path("file.part.state"), F_OK), there ? 0 : -1);
}

#define ok(expr) do { \
	if ((expr) != 0) \
		fail_msg("%s: %s", #expr, err.msg); \
} while (0)

static void refused(int rc, enum err_code code)
{
	assert_int_equal(rc, -1);
	assert_code(&err, code);
}

static void set_faults(enum fault fault, unsigned from, unsigned many)
{
	service.fault = fault;
	service.fault_from = from;
	service.fault_count = many;
}

static void all_of_it(void **state)
{
	md5_of(service.bytes, SIZE, props.content_md5, NULL);
	ok(get());
	is_whole(SIZE);
	assert_int_equal(service.gets, BLOCKS);
	assert_int_equal(stats.received, SIZE);
	assert_int_equal(stats.resumed + stats.skipped, 0);
	assert_false(stats.anew);
}

static void odd_sizes(void **state)
{
	static const uint64_t sizes[] = { 0, 1, BLOCK - 1, BLOCK, BLOCK + 1, SIZE };

	for (size_t i = 0; i < sizeof(sizes) / sizeof(*sizes); i++) {
		ok(get_blocks(sizes[i], BLOCK));
		is_whole(sizes[i]);
		ok(get_blocks(sizes[i], 1ull << 40));
		is_whole(sizes[i]);
	}
}

static void a_service_without_sums(void **state)
{
	service.sums = false;
	ok(get());
	is_whole(SIZE);
}

static void damaged_ranges_come_again(void **state)
{
	set_faults(FLIP, 5, 7);
	ok(get());
	is_whole(SIZE);
	assert_int_equal(service.gets, BLOCKS + 7);
	assert_int_equal(stats.received, SIZE);
}

static void damaged_for_ever(void **state)
{
	set_faults(FLIP, 20, 1000000);
	refused(get(), ERR_NETWORK);
	assert_says(&err, "came damaged 10 times");
	assert_int_equal(access(path, F_OK), -1);
	is_part(true);
}

/* Damage that no sum of a range shows. */
static void the_whole_is_compared(void **state)
{
	md5_of(service.bytes, SIZE, props.content_md5, NULL);
	service.sums = false;
	set_faults(FLIP, 7, 1);
	refused(get(), ERR_NETWORK);
	assert_says(&err, "does not fit the MD5 that the blob carries");
	assert_int_equal(access(path, F_OK), -1);
	is_part(false);
	ok(get());
	is_whole(SIZE);
}

/* What writes to page blobs does not keep it right; nor is it of a part. */
static void where_it_means_nothing(void **state)
{
	md5_of("other", 5, props.content_md5, NULL);
	ok(get_blocks(SIZE - 1, BLOCK));
	is_whole(SIZE - 1);
	props.type = BLOB_TYPE_PAGE;
	props.size = service.allocated[1] = (SIZE + 511) / 512 * 512;
	ok(get());
	is_whole(SIZE);
}

static void short_bodies(void **state)
{
	set_faults(SHORT, 3, 2);
	ok(get());
	is_whole(SIZE);
}

static void holes(void **state)
{
	static const uint64_t allocated[] = { 512, 1024, 102400, 204800, 2999808, 3000320 };
	struct stat st;

	memcpy(service.allocated, allocated, sizeof(allocated));
	memset(service.bytes, 0, 512);
	memset(service.bytes + 1024, 0, 102400 - 1024);
	memset(service.bytes + 204800, 0, 2999808 - 204800);
	props.type = BLOB_TYPE_PAGE;
	props.size = 3000320;
	ok(get());
	is_whole(SIZE);
	assert_int_equal(stats.received, 512 + 102400 + SIZE - 2999808);
	assert_int_equal(stats.received + stats.skipped, SIZE);
	assert_int_equal(service.sent, stats.received);
	assert_int_equal(stat(path, &st), 0);
	assert_true(st.st_blocks * 512 < SIZE / 2);
}

/* Nothing but holes, and in the meantime they were not. */
static void holes_of_another(void **state)
{
	props.type = BLOB_TYPE_PAGE;
	strcpy(service.etag, "\"two\"");
	refused(get(), ERR_CONDITION);
	assert_says(&err, "was changed while it was downloaded");
	is_part(false);
}

static void break_off(unsigned after)
{
	set_faults(REFUSE, after, 1000000);
	refused(get(), ERR_USAGE);
	set_faults(NONE, 0, 0);
	is_part(true);
	assert_int_equal(access(path, F_OK), -1);
}

static void resumed(void **state)
{
	uint64_t before;

	md5_of(service.bytes, SIZE, props.content_md5, NULL);
	break_off(12);
	before = service.sent;
	assert_int_equal(before, 12 * BLOCK);
	ok(get_blocks(SIZE, 70000));
	is_whole(SIZE);
	assert_int_equal(stats.resumed, before);
	assert_int_equal(stats.received, SIZE - before);
	assert_int_equal(service.sent, SIZE);
}

/* A block that is there; which ones are is the connections' affair. */
static off_t a_block_of_part(int fd)
{
	char start[8];

	for (off_t at = 0; at + BLOCK <= SIZE; at += BLOCK) {
		assert_int_equal(pread(fd, start, sizeof(start), at), sizeof(start));
		if (!memcmp(start, service.bytes + at, sizeof(start)))
			return at;
	}
	fail_msg("no block is there");
	return -1;
}

/* The part was damaged on the disk. */
static void resumed_and_wrong(void **state)
{
	int fd;

	md5_of(service.bytes, SIZE, props.content_md5, NULL);
	break_off(12);
	fd = open(scratch_path("file.part"), O_RDWR);
	assert_int_equal(pwrite(fd, "damage", 6, a_block_of_part(fd)), 6);
	close(fd);
	refused(get(), ERR_NETWORK);
	assert_says(&err, "does not fit the MD5");
	is_part(false);
}

static void another_version(void **state)
{
	break_off(12);
	strcpy(service.etag, "\"two\"");
	strcpy(props.etag, "\"two\"");
	service.bytes[0] ^= 1;
	service.sent = 0;
	ok(get());
	is_whole(SIZE);
	assert_true(stats.anew);
	assert_int_equal(stats.resumed, 0);
	assert_int_equal(service.sent, SIZE);
}

/* The same ETag, but of another blob. */
static void another_blob(void **state)
{
	struct blob_ref other = { "c", "dir/other.vhd", NULL };
	struct download_options o = { .block_size = BLOCK };

	break_off(12);
	service.sent = 0;
	ok(download_file(f.client, &other, &props, SIZE, path, &o, &stats, &err));
	is_whole(SIZE);
	assert_int_equal(service.sent, SIZE);
}

static void replaced_meanwhile(void **state)
{
	scratch_write("file", 0600, "as it was");
	set_faults(REPLACED, 9, 1);
	refused(get(), ERR_CONDITION);
	assert_says(&err, "was changed while it was downloaded");
	is_part(false);
	assert_int_equal(truncate(path, 9), 0);
}

/* After a crash of the machine only what is known to be on the disk counts. */
static void after_a_crash(void **state)
{
	const char *name = scratch_path("file.part.state");
	struct { uint64_t start, end; } records[13], mark = { UINT64_MAX, 5 };
	off_t size;
	int fd;

	break_off(12);
	fd = open(name, O_RDWR);
	size = lseek(fd, 0, SEEK_END);
	assert_int_equal(pread(fd, records, 12 * 16, size - 12 * 16), 12 * 16);
	assert_int_equal(pwrite(fd, &mark, 16, size), 16);
	/* The boot id stands behind the magic. */
	assert_int_equal(pwrite(fd, "00000000-another", 16, 8), 16);
	close(fd);
	service.sent = 0;
	ok(get());
	is_whole(SIZE);
	assert_int_equal(stats.resumed, 5 * BLOCK);
	assert_int_equal(service.sent, SIZE - 5 * BLOCK);
}

static void garbage_in_the_journal(void **state)
{
	static const struct { uint64_t start, end; } bad[] = {
		{ 0, 0 }, { 5, 4 }, { 0, SIZE + 1 }, { UINT64_MAX, 1000 }, { UINT64_MAX - 1, UINT64_MAX },
	};

	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
		int fd;

		service.gets = 0;
		service.sent = 0;
		break_off(6);
		fd = open(scratch_path("file.part.state"), O_RDWR | O_APPEND);
		assert_int_equal(write(fd, &bad[i], 16), 16);
		assert_int_equal(write(fd, &(uint64_t[]){ 0, SIZE }, 16), 16);
		close(fd);
		ok(get());
		is_whole(SIZE);
		assert_int_equal(stats.resumed, 6 * BLOCK);
		unlink(path);
	}
}

static void two_at_once(void **state)
{
	int fd;

	break_off(12);
	fd = open(scratch_path("file.part.state"), O_RDWR);
	assert_int_equal(flock(fd, LOCK_EX), 0);
	refused(get(), ERR_BUSY);
	assert_says(&err, "another download into this file is under way");
	is_part(true);
	close(fd);
	ok(get());
	is_whole(SIZE);
}

static void what_is_not_ours(void **state)
{
	scratch_write("file.part", 0600, "somebody's");
	refused(get(), ERR_EXISTS);
	assert_says(&err, "file.part: is there, and no part of a download of ours");
	assert_int_equal(access(scratch_path("file.part.state"), F_OK), -1);
	assert_int_equal(truncate(scratch_path("file.part"), 10), 0);
	unlink(scratch_path("file.part"));
	assert_int_equal(symlink("/etc/hostname", scratch_path("file.part")), 0);
	assert_int_equal(get(), -1);
	assert_int_equal(access(path, F_OK), -1);
	unlink(scratch_path("file.part"));
	/* A state alone is a leftover. */
	scratch_write("file.part.state", 0600, "left over");
	ok(get());
	is_whole(SIZE);
}

static void a_disk_that_is_full(void **state)
{
	struct part p;
	struct part_of of = { .size = 1000 };

	ok(part_open(&p, path, &of, &err));
	close(p.fd);
	p.fd = open("/dev/full", O_RDWR);
	refused(part_write(&p, "x", 1, 0, &err), ERR_NO_SPACE);
	assert_says(&err, "file.part: can't be written");
	part_discard(&p);
	part_close(&p);
	path = "/nonexistent/file";
	refused(get(), ERR_NOT_FOUND);
}

#define TEST(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)

static int finish(void **state)
{
	free(service.bytes);
	return scratch_teardown(state);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(all_of_it),
		TEST(odd_sizes),
		TEST(a_service_without_sums),
		TEST(damaged_ranges_come_again),
		TEST(damaged_for_ever),
		TEST(the_whole_is_compared),
		TEST(where_it_means_nothing),
		TEST(short_bodies),
		TEST(holes),
		TEST(holes_of_another),
		TEST(resumed),
		TEST(resumed_and_wrong),
		TEST(another_version),
		TEST(another_blob),
		TEST(replaced_meanwhile),
		TEST(after_a_crash),
		TEST(garbage_in_the_journal),
		TEST(two_at_once),
		TEST(what_is_not_ours),
		TEST(a_disk_that_is_full),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, scratch_setup, finish);
}

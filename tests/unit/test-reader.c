/* Readers: memory, files, and blobs of both types. */
#include <config.h>

#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include "blob/base/cleanup.h"
#include "pack/index.h"
#include "pack/reader.h"
#include "tests/unit/client_fixture.h"
#include "tests/unit/zip_image.h"

static struct fixture f;
static struct err err;
static struct pack_blob blob;

/* What the service has. */
static struct {
	const uint8_t *data;      /* then zeros up to size */
	size_t len;
	uint64_t size;
	const char *headers, *etag;
	_Atomic uint64_t sent;
	_Atomic unsigned gets;
} it;

static uint8_t content[10u << 20];
static const uint8_t zeros[1u << 16];

static void send_body(int fd, uint64_t first, uint64_t len)
{
	uint64_t n = first < it.len ? it.len - first : 0;

	if (n > len)
		n = len;
	httpd_send(fd, it.data + (n ? first : 0), (size_t)n);
	for (len -= n; len; len -= n) {
		n = len < sizeof(zeros) ? len : sizeof(zeros);
		httpd_send(fd, zeros, (size_t)n);
	}
}

static enum httpd_then serve(int fd, const struct httpd_request *r, void *arg)
{
	unsigned long long first, last;
	char head[512], value[128];

	if (!strcmp(r->method, "HEAD")) {
		snprintf(head, sizeof(head), "HTTP/1.1 200 x\r\nContent-Length: %llu\r\nETag: %s\r\n%s\r\n",
			 (unsigned long long)it.size, it.etag, it.headers);
		httpd_text(fd, head);
		return HTTPD_KEEP;
	}
	if (!httpd_header(r, "If-Match", value, sizeof(value)) || strcmp(value, it.etag) != 0 ||
	    !httpd_header(r, "Range", value, sizeof(value)) ||
	    sscanf(value, "bytes=%llu-%llu", &first, &last) != 2 || last >= it.size) {
		httpd_reply(fd, 412, "x-ms-error-code: ConditionNotMet\r\n", "", 0);
		return HTTPD_KEEP;
	}
	snprintf(head, sizeof(head), "HTTP/1.1 206 x\r\nETag: %s\r\nContent-Length: %llu\r\n"
		 "Content-Range: bytes %llu-%llu/%llu\r\n\r\n", it.etag, last - first + 1, first, last,
		 (unsigned long long)it.size);
	httpd_text(fd, head);
	it.gets++;
	it.sent += last - first + 1;
	send_body(fd, first, last - first + 1);
	return HTTPD_KEEP;
}

#define BLOCK "x-ms-blob-type: BlockBlob\r\n"
#define PAGE "x-ms-blob-type: PageBlob\r\n"

static int setup(void **state)
{
	uint32_t n = 1;

	for (size_t i = 0; i < sizeof(content); i++) {
		n = n * 1664525 + 1013904223;
		content[i] = (uint8_t)(n >> 24);
	}
	fixture_start(&f, serve, NULL);
	return 0;
}

static int teardown(void **state)
{
	fixture_stop(&f);
	return 0;
}

static int open_blob(const void *data, size_t len, uint64_t size, const char *headers)
{
	it.data = data;
	it.len = len;
	it.size = size;
	it.headers = headers;
	it.etag = "\"v1\"";
	it.sent = 0;
	it.gets = 0;
	return pack_blob_open(&blob, f.client, &the_blob, &err);
}

static void opens(const void *data, size_t len, uint64_t size, const char *headers)
{
	if (open_blob(data, len, size, headers) < 0)
		fail_msg("%s", err.msg);
}

static void memory(void **state)
{
	struct pack_memory m;
	char out[5];

	pack_memory_init(&m, "app.zip", "0123456789", 10);
	assert_int_equal(m.reader.size, 10);
	assert_int_equal(m.reader.read(&m.reader, 5, out, 5, &err), 0);
	assert_memory_equal(out, "56789", 5);
	assert_int_equal(m.reader.read(&m.reader, 10, out, 0, &err), 0);
	assert_int_equal(m.reader.read(&m.reader, 6, out, 5, &err), -1);
	assert_int_equal(m.reader.read(&m.reader, UINT64_MAX, out, 5, &err), -1);
	assert_int_equal(err.code, ERR_RANGE);
}

static void file(void **state)
{
	char path[] = "/tmp/hpcpack-test-reader-XXXXXX", out[5];
	int fd = mkstemp(path);
	struct pack_file p;

	assert_true(fd >= 0);
	unlink(path);
	assert_int_equal(write(fd, "0123456789", 10), 10);
	assert_int_equal(pack_file_init(&p, "app.zip", fd, &err), 0);
	assert_int_equal(p.reader.size, 10);
	assert_int_equal(p.reader.read(&p.reader, 5, out, 5, &err), 0);
	assert_memory_equal(out, "56789", 5);
	assert_int_equal(ftruncate(fd, 7), 0);
	assert_int_equal(p.reader.read(&p.reader, 5, out, 5, &err), -1);
	assert_code(&err, ERR_RANGE);
	assert_says(&err, "app.zip: ends at byte 7");
	close(fd);
	fd = open("/tmp", O_RDONLY);
	assert_int_equal(pack_file_init(&p, "/tmp", fd, &err), -1);
	assert_says(&err, "/tmp: not a regular file");
	close(fd);
}

static void large_reads(void **state)
{
	cleanup_free uint8_t *out = malloc(sizeof(content));

	opens(content, sizeof(content), sizeof(content), BLOCK);
	assert_int_equal(blob.reader.size, sizeof(content));
	assert_string_equal(blob.reader.name, "c/dir/b.vhd");
	assert_int_equal(it.gets, 0);
	assert_int_equal(blob.reader.read(&blob.reader, 0, out, sizeof(content), &err), 0);
	assert_memory_equal(out, content, sizeof(content));
	assert_int_equal(it.gets, 3);
	assert_int_equal(blob.reader.read(&blob.reader, 77, out, 1000, &err), 0);
	assert_memory_equal(out, content + 77, 1000);
	assert_int_equal(blob.reader.read(&blob.reader, sizeof(content), out, 0, &err), 0);
	assert_int_equal(it.gets, 4);
	assert_int_equal(it.sent, sizeof(content) + 1000);
	assert_int_equal(blob.reader.read(&blob.reader, sizeof(content), out, 1, &err), -1);
	assert_code(&err, ERR_RANGE);
	pack_blob_close(&blob);
}

/* Never bytes of another version. */
static void replaced(void **state)
{
	cleanup_free uint8_t *out = malloc(sizeof(content));

	opens(content, sizeof(content), sizeof(content), BLOCK);
	it.etag = "\"v2\"";
	assert_int_equal(blob.reader.read(&blob.reader, 0, out, 10, &err), -1);
	assert_code(&err, ERR_CONDITION);
	assert_int_equal(blob.reader.read(&blob.reader, 0, out, sizeof(content), &err), -1);
	assert_code(&err, ERR_CONDITION);
	assert_says(&err, "c/dir/b.vhd: ");
	pack_blob_close(&blob);
}

static void known_props(void **state)
{
	struct blob_props props = { .type = BLOB_TYPE_BLOCK, .size = 10 };
	char out[10];

	opens(content, 10, 10, BLOCK);
	pack_blob_close(&blob);
	assert_int_equal(blob_meta_set(&props.meta, "description", "d"), 0);
	strcpy(props.etag, "\"v1\"");
	assert_int_equal(pack_blob_open_as(&blob, f.client, &the_blob, &props, &err), 0);
	assert_null(props.meta.items);
	assert_int_equal(blob.reader.read(&blob.reader, 0, out, 10, &err), 0);
	pack_blob_close(&blob);
}

/* A package in a page blob of `size` bytes is found whole. */
static void whole(const struct zip_image *z, uint64_t size, const char *headers, uint64_t most)
{
	struct pack_index index;

	opens(z->data, z->len, size, headers);
	assert_int_equal(blob.reader.size, z->len);
	assert_true(it.sent <= most);
	if (pack_index_open(&index, &blob.reader, NULL, &err) < 0)
		fail_msg("%s", err.msg);
	assert_int_equal(index.file_count, 1);
	pack_index_free(&index);
	pack_blob_close(&blob);
}

static void pages(void **state)
{
	struct zip_image z = { 0 };

	zip_file(&z, "a", "content");
	zip_end(&z, NULL);                       /* ends in two zeros */
	whole(&z, 512, PAGE "x-ms-meta-contentlength: 107\r\n", 0);
	assert_int_equal(z.len, 107);
	whole(&z, 512, PAGE, 2000);
	whole(&z, 20u << 20, PAGE, 21u << 20);
	whole(&z, 512, PAGE "x-ms-meta-contentlength: 513\r\n", 2000);
	whole(&z, 512, PAGE "x-ms-meta-contentlength: 0\r\n", 2000);
	whole(&z, 512, PAGE "x-ms-meta-contentlength: 12x\r\n", 2000);
	whole(&z, 512, PAGE "x-ms-meta-ContentLength: 107\r\n", 0);
	zip_free(&z);
	/* A comment with zeros at its end, which are no padding. */
	zip_file(&z, "a", "content");
	zip_end(&z, &(struct zip_ending){ .comment = "hello" });
	z.data[z.len - 5 - 2] = 0x08;
	z.data[z.len - 5 - 1] = 0x02;            /* 520 bytes */
	zip_raw(&z, zeros, 515);
	whole(&z, 1024, PAGE, 4000);
	zip_free(&z);
}

static void no_package(void **state)
{
	opens("hello", 5, 512, PAGE);
	assert_int_equal(blob.reader.size, 5);
	pack_blob_close(&blob);
	opens("", 0, 1024, PAGE);
	assert_int_equal(blob.reader.size, 0);
	pack_blob_close(&blob);
	opens("", 0, 0, PAGE);
	assert_int_equal(blob.reader.size, 0);
	pack_blob_close(&blob);
	/* A terabyte of nothing is not read to its beginning. */
	assert_int_equal(open_blob("hello", 5, 1ull << 40, PAGE), -1);
	assert_code(&err, ERR_FORMAT);
	assert_says(&err, "c/dir/b.vhd: ends in more than 64 MiB of zeros");
	assert_true(it.sent < 70u << 20);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(memory), cmocka_unit_test(file), cmocka_unit_test(large_reads),
		cmocka_unit_test(replaced), cmocka_unit_test(known_props), cmocka_unit_test(pages),
		cmocka_unit_test(no_package),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, setup, teardown);
}

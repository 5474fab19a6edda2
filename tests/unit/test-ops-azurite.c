/*
 * Every operation of blob/ops.h against a live Azurite, whose endpoint is in
 * HPCPACK_TEST_ENDPOINT (http://127.0.0.1:PORT/devstoreaccount1).
 */
#include <config.h>

#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "blob/op.h"
#include "blob/md5.h"
#include "blob/ops.h"
#include "blob/sign.h"
#include "blob/url.h"
#include "tests/unit/unit.h"
#include "tests/unit/wait.h"

#define KEY "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="

extern unsigned blob_list_page; /* blob/ops_list.c */

static const char *endpoint;
static struct blob_client *client;
static char container[64];
static struct err err;

/* Blob names that have tripped up others. */
static const char *const odd_names[] = {
	"plain.vhd", "dir/sub/a b.vhd", "100%+1&2=3?#.vhd", "für später/ü.vhd", "a~!@$'()*,;:[].vhd",
	"%41", "back\\slash",
};

#define ok(expr) do { \
	if ((expr) != 0) \
		fail_msg("%s: %s", #expr, err.msg); \
} while (0)

static void refused(int rc, enum err_code code, const char *service_code)
{
	assert_int_equal(rc, -1);
	if (err.code != code || (service_code && strcmp(service_code, err.service_code) != 0))
		fail_msg("%s %s: %s", err_code_name(err.code), err.service_code, err.msg);
}

static struct blob_ref ref(const char *name)
{
	return (struct blob_ref){ .container = container, .blob = name };
}

static void remember(void *arg, const struct blob_reply *reply)
{
	struct waited *w = arg;

	w->err = reply->err;
	w->unknown = reply->outcome_unknown;
	snprintf(w->etag, sizeof(w->etag), "%s", reply->etag);
	waited_signal(w);
}

struct sum {
	struct waited w;
	char md5[MD5_TEXT_MAX];
};

static void remember_md5(void *arg, const struct blob_reply *reply)
{
	struct sum *sum = arg;
	const char *md5 = reply->header(reply, "Content-MD5");

	snprintf(sum->md5, sizeof(sum->md5), "%s", md5 ? md5 : "");
	remember(&sum->w, reply);
}

static int put_pages(const struct blob_ref *r, uint64_t offset, const void *data, size_t len,
		     const char *lease)
{
	struct iovec iov[2] = { { (void *)(uintptr_t)data, len / 3 },
				{ (char *)(uintptr_t)data + len / 3, len - len / 3 } };
	struct waited w = WAITED_INIT;

	blob_put_pages_start(client, r, offset, iov, 2, NULL, lease, remember, &w);
	waited_wait(&w);
	err = w.err;
	return err.code ? -1 : 0;
}

static int clear_pages(const struct blob_ref *r, uint64_t offset, uint64_t len, const char *lease)
{
	struct waited w = WAITED_INIT;

	blob_clear_pages_start(client, r, offset, len, lease, remember, &w);
	waited_wait(&w);
	err = w.err;
	return err.code ? -1 : 0;
}

static void fill(unsigned char *data, size_t len, unsigned seed)
{
	size_t i;

	for (i = 0; i < len; i++)
		data[i] = (unsigned char)(i * 7 + i / 512 + seed);
}

static void containers(void **state)
{
	char name[80];

	snprintf(name, sizeof(name), "%s-2", container);
	ok(blob_container_create(client, name, &err));
	refused(blob_container_create(client, name, &err), ERR_EXISTS, "ContainerAlreadyExists");
	ok(blob_container_delete(client, name, &err));
	refused(blob_container_delete(client, name, &err), ERR_NOT_FOUND, "ContainerNotFound");
	refused(blob_container_create(client, "Bad_Name", &err), ERR_USAGE, NULL);
}

static void missing(void **state)
{
	struct blob_ref r = ref("nothing"), nowhere = { "no-such-container", "x", NULL };
	struct blob_ref gone = { container, "plain.vhd", "2020-01-01T00:00:00.0000000Z" };
	struct blob_props props;
	struct blob_list list;
	char data[512];

	refused(blob_get_props(client, &r, &props, &err), ERR_NOT_FOUND, "BlobNotFound");
	assert_non_null(strstr(err.msg, "/nothing: no such blob (BlobNotFound, request "));
	refused(blob_get_range(client, &r, 0, data, 512, NULL, &err), ERR_NOT_FOUND, "BlobNotFound");
	refused(blob_get_props(client, &nowhere, &props, &err), ERR_NOT_FOUND, "ContainerNotFound");
	assert_ptr_equal(strstr(err.msg, "no-such-container: no such container"), err.msg);
	refused(blob_list(client, "no-such-container", NULL, 0, &list, &err), ERR_NOT_FOUND,
		"ContainerNotFound");
	refused(blob_get_props(client, &gone, &props, &err), ERR_NOT_FOUND, NULL);
	assert_non_null(strstr(err.msg, "no such snapshot"));
	refused(blob_delete(client, &r, NULL, &err), ERR_NOT_FOUND, "BlobNotFound");
}

static void pages(void **state)
{
	static unsigned char data[64 << 10], back[64 << 10];
	struct blob_meta_list meta = { 0 };
	struct blob_props props;
	size_t i;

	fill(data, sizeof(data), 1);
	blob_meta_set(&meta, "Description", "of it");
	blob_meta_set(&meta, "a1", "x");
	blob_meta_set(&meta, "a_", "y");
	for (i = 0; i < sizeof(odd_names) / sizeof(odd_names[0]); i++) {
		struct blob_ref r = ref(odd_names[i]);

		ok(blob_create_page(client, &r, 1 << 20, &meta, true, NULL, &err));
		refused(blob_create_page(client, &r, 1 << 20, &meta, true, NULL, &err), ERR_EXISTS,
			NULL);
		ok(put_pages(&r, 4096, data, sizeof(data), NULL));
		memset(back, 0, sizeof(back));
		ok(blob_get_range(client, &r, 4096, back, sizeof(back), NULL, &err));
		assert_memory_equal(data, back, sizeof(back));
		ok(blob_get_props(client, &r, &props, &err));
		assert_int_equal(props.type, BLOB_TYPE_PAGE);
		assert_int_equal(props.size, 1 << 20);
		assert_string_equal(props.lease_state, "available");
		assert_int_equal(props.etag[0], '"');
		assert_string_equal(blob_meta_get(&props.meta, "description"), "of it");
		assert_int_equal(props.meta.count, 3);
		blob_props_free(&props);
		ok(clear_pages(&r, 4096, 32 << 10, NULL));
		ok(blob_get_range(client, &r, 4096, back, sizeof(back), NULL, &err));
		memset(data, 0, 32 << 10);
		assert_memory_equal(data, back, sizeof(back));
		fill(data, sizeof(data), 1);
	}
	/* an overwrite makes it empty */
	struct blob_ref r = ref(odd_names[0]);
	ok(blob_create_page(client, &r, 2 << 20, NULL, false, NULL, &err));
	ok(blob_get_props(client, &r, &props, &err));
	assert_int_equal(props.size, 2 << 20);
	assert_int_equal(props.meta.count, 0);
	blob_props_free(&props);
	ok(blob_get_range(client, &r, 4096, back, 512, NULL, &err));
	assert_int_equal(back[0], 0);
	blob_meta_free(&meta);
}

static void what_cannot_be(void **state)
{
	static char data[BLOB_MAX_PUT_PAGE + 512];
	struct blob_ref r = ref("plain.vhd");
	struct blob_ref snapshot = { container, "plain.vhd", "2026-01-01T00:00:00.0000000Z" };
	struct blob_props props;
	char id[BLOB_LEASE_ID_MAX];

	blob_new_guid(id);
	refused(put_pages(&r, 1, data, 512, NULL), ERR_RANGE, NULL);
	refused(put_pages(&r, 0, data, 511, NULL), ERR_RANGE, NULL);
	refused(put_pages(&r, 0, data, 0, NULL), ERR_RANGE, NULL);
	refused(put_pages(&r, 0, data, sizeof(data), NULL), ERR_RANGE, NULL);
	refused(clear_pages(&r, 512, 100, NULL), ERR_RANGE, NULL);
	refused(clear_pages(&r, 512, 0, NULL), ERR_RANGE, NULL);
	refused(blob_create_page(client, &r, 1000, NULL, false, NULL, &err), ERR_RANGE, NULL);
	/* Azurite would do these to the base blob. */
	refused(put_pages(&snapshot, 0, data, 512, NULL), ERR_READ_ONLY, NULL);
	refused(clear_pages(&snapshot, 0, 512, NULL), ERR_READ_ONLY, NULL);
	refused(blob_set_meta(client, &snapshot, &(struct blob_meta_list){ 0 }, NULL, NULL, &err),
		ERR_READ_ONLY, NULL);
	refused(blob_lease_acquire(client, &snapshot, id, 15, 0, &err), ERR_READ_ONLY, NULL);
	refused(blob_lease_acquire(client, &r, id, 14, 0, &err), ERR_USAGE, NULL);
	refused(blob_lease_acquire(client, &r, id, 61, 0, &err), ERR_USAGE, NULL);
	/* and these break it */
	refused(blob_get_range(client, &r, 0, data, 0, NULL, &err), ERR_RANGE, NULL);
	refused(blob_get_range(client, &r, UINT64_MAX - 10, data, 512, NULL, &err), ERR_RANGE, NULL);
	ok(blob_get_props(client, &r, &props, &err));
	blob_props_free(&props);
}

static void beyond_the_end(void **state)
{
	struct blob_ref r = ref("plain.vhd"); /* 2 MiB */
	char data[1024];

	ok(blob_get_range(client, &r, (2 << 20) - 1024, data, 1024, NULL, &err));
	refused(blob_get_range(client, &r, (2 << 20) - 512, data, 1024, NULL, &err), ERR_RANGE, NULL);
	assert_non_null(strstr(err.msg, "outside the blob"));
	refused(blob_get_range(client, &r, 2 << 20, data, 512, NULL, &err), ERR_RANGE, NULL);
	refused(blob_get_range(client, &r, 3 << 20, data, 512, NULL, &err), ERR_RANGE, NULL);
}

static void metadata_and_etags(void **state)
{
	struct blob_ref r = ref("dir/sub/a b.vhd");
	struct blob_meta_list meta = { 0 }, bad = { 0 };
	char etag[BLOB_ETAG_MAX], data[512];
	struct blob_props props;

	ok(blob_get_props(client, &r, &props, &err));
	blob_meta_set(&meta, "CamelCase", "a=b; c");
	ok(blob_set_meta(client, &r, &meta, NULL, etag, &err));
	assert_string_not_equal(etag, props.etag);
	ok(blob_get_range(client, &r, 0, data, 512, etag, &err));
	refused(blob_get_range(client, &r, 0, data, 512, props.etag, &err), ERR_CONDITION, NULL);
	blob_props_free(&props);
	ok(blob_get_props(client, &r, &props, &err));
	assert_string_equal(props.etag, etag);
	assert_int_equal(props.meta.count, 1);
	assert_string_equal(props.meta.items[0].name, "CamelCase");
	assert_string_equal(props.meta.items[0].value, "a=b; c");
	blob_props_free(&props);
	blob_meta_set(&bad, "x", "grün");
	refused(blob_set_meta(client, &r, &bad, NULL, NULL, &err), ERR_USAGE, NULL);
	blob_meta_set(&bad, "x", "a\r\nEvil: 1");
	refused(blob_set_meta(client, &r, &bad, NULL, NULL, &err), ERR_USAGE, NULL);
	blob_meta_set(&bad, "x", NULL);
	blob_meta_set(&bad, "a: 1\r\nEvil", "x");
	refused(blob_set_meta(client, &r, &bad, NULL, NULL, &err), ERR_USAGE, NULL);
	blob_meta_free(&bad);
	blob_meta_free(&meta);
}

struct ranges_seen {
	struct waited w;
	struct blob_range ranges[64];
	size_t count;
};

static void see_ranges(void *arg, const struct err *e, const struct blob_range *ranges, size_t count)
{
	struct ranges_seen *s = arg;

	if (e)
		s->w.err = *e;
	s->count = count;
	if (count)
		memcpy(s->ranges, ranges, (count < 64 ? count : 64) * sizeof(*ranges));
	waited_signal(&s->w);
}

static void expect_ranges(const struct blob_ref *r, uint64_t offset, uint64_t len,
			  const struct blob_range *wanted, size_t count)
{
	struct ranges_seen s = { .w = WAITED_INIT };

	blob_page_ranges_start(client, r, offset, len, see_ranges, &s);
	waited_wait(&s.w);
	err = s.w.err;
	ok(err.code);
	assert_int_equal(s.count, count);
	if (count)
		assert_memory_equal(s.ranges, wanted, count * sizeof(*wanted));
}

static void page_ranges(void **state)
{
	static unsigned char data[8192];
	struct blob_ref r = ref("ranges"), none = ref("nothing");
	struct ranges_seen s = { .w = WAITED_INIT };

	fill(data, sizeof(data), 3);
	ok(blob_create_page(client, &r, 1 << 20, NULL, true, NULL, &err));
	expect_ranges(&r, 0, 1 << 20, NULL, 0);
	ok(put_pages(&r, 8192, data, 4096, NULL));
	ok(put_pages(&r, 12288, data, 4096, NULL)); /* touches: merged */
	ok(put_pages(&r, 65536, data, 8192, NULL));
	ok(clear_pages(&r, 67584, 512, NULL));
	expect_ranges(&r, 0, 1 << 20, (struct blob_range[]){
		{ 8192, 8192 }, { 65536, 2048 }, { 68096, 5632 } }, 3);
	expect_ranges(&r, 9216, 57344, (struct blob_range[]){ { 9216, 7168 }, { 65536, 1024 } }, 2);
	blob_page_ranges_start(client, &none, 0, 512, see_ranges, &s);
	waited_wait(&s.w);
	assert_int_equal(s.w.err.code, ERR_NOT_FOUND);
}

static void leases(void **state)
{
	struct blob_ref r = ref("leased");
	char a[BLOB_LEASE_ID_MAX], b[BLOB_LEASE_ID_MAX], c[BLOB_LEASE_ID_MAX];
	struct blob_props props;
	char data[512] = "x";

	blob_new_guid(a);
	blob_new_guid(b);
	blob_new_guid(c);
	ok(blob_create_page(client, &r, 4096, NULL, true, NULL, &err));
	ok(blob_lease_acquire(client, &r, a, 15, 5000, &err));
	ok(blob_lease_acquire(client, &r, a, 15, 0, &err)); /* our own: again */
	refused(blob_lease_acquire(client, &r, b, 15, 0, &err), ERR_LEASE_HELD, "LeaseAlreadyPresent");
	ok(blob_get_props(client, &r, &props, &err));
	assert_string_equal(props.lease_state, "leased");
	blob_props_free(&props);
	ok(blob_lease_renew(client, &r, a, 5000, &err));
	refused(blob_lease_renew(client, &r, b, 0, &err), ERR_LEASE_HELD, NULL);
	ok(put_pages(&r, 0, data, 512, a));
	refused(put_pages(&r, 0, data, 512, NULL), ERR_LEASE_LOST, "LeaseIdMissing");
	refused(put_pages(&r, 0, data, 512, b), ERR_LEASE_LOST, "LeaseIdMismatchWithBlobOperation");
	refused(blob_delete(client, &r, NULL, &err), ERR_LEASE_LOST, "LeaseIdMissing");
	ok(blob_lease_change(client, &r, a, b, 0, &err));
	ok(blob_lease_change(client, &r, a, b, 0, &err)); /* after a lost reply */
	refused(put_pages(&r, 0, data, 512, a), ERR_LEASE_LOST, NULL);
	ok(put_pages(&r, 0, data, 512, b));
	ok(clear_pages(&r, 0, 512, b));
	/* an overwrite under the lease */
	ok(blob_create_page(client, &r, 8192, NULL, false, b, &err));
	refused(blob_create_page(client, &r, 8192, NULL, false, a, &err), ERR_LEASE_LOST, NULL);
	ok(blob_lease_release(client, &r, b, 0, &err));
	ok(blob_lease_release(client, &r, b, 0, &err)); /* it is gone: fine */
	ok(blob_lease_acquire(client, &r, c, 60, 0, &err));
	ok(blob_lease_release(client, &r, b, 0, &err)); /* and not ours */
	ok(blob_lease_break(client, &r, 0, &err));
	refused(blob_lease_renew(client, &r, c, 0, &err), ERR_LEASE_HELD,
		"LeaseIsBrokenAndCannotBeRenewed");
	refused(put_pages(&r, 0, data, 512, c), ERR_LEASE_LOST, NULL);
	ok(blob_lease_break(client, &r, 0, &err));
	ok(put_pages(&r, 0, data, 512, NULL));
	ok(blob_lease_break(client, &r, 0, &err)); /* not leased */
	ok(blob_delete(client, &r, NULL, &err));
	refused(blob_lease_acquire(client, &r, a, 15, 0, &err), ERR_NOT_FOUND, "BlobNotFound");
}

static void snapshots(void **state)
{
	struct blob_ref r = ref("für später/ü.vhd"), old = r;
	char time[BLOB_TIME_MAX], data[512], now[512];
	struct blob_list list;
	struct blob_props props;

	memset(data, 'a', sizeof(data));
	ok(put_pages(&r, 0, data, 512, NULL));
	ok(blob_snapshot(client, &r, "hpcpacktag", "t-1", time, &err));
	old.snapshot = time;
	memset(data, 'b', sizeof(data));
	ok(put_pages(&r, 0, data, 512, NULL));
	ok(blob_get_range(client, &old, 0, now, 512, NULL, &err));
	assert_int_equal(now[0], 'a');
	ok(blob_get_range(client, &r, 0, now, 512, NULL, &err));
	assert_int_equal(now[0], 'b');
	ok(blob_get_props(client, &old, &props, &err));
	assert_string_equal(blob_meta_get(&props.meta, "hpcpacktag"), "t-1");
	assert_string_equal(blob_meta_get(&props.meta, "Description"), "of it");
	blob_props_free(&props);
	expect_ranges(&old, 0, 4096, (struct blob_range[]){ { 0, 512 } }, 1);
	ok(blob_list(client, container, r.blob, BLOB_LIST_SNAPSHOTS | BLOB_LIST_META, &list, &err));
	assert_int_equal(list.count, 2);
	assert_string_equal(list.items[0].snapshot, time);
	assert_string_equal(blob_meta_get(&list.items[0].props.meta, "hpcpacktag"), "t-1");
	assert_null(list.items[1].snapshot);
	assert_null(blob_meta_get(&list.items[1].props.meta, "hpcpacktag"));
	blob_list_free(&list);
	refused(blob_delete(client, &r, NULL, &err), ERR_BUSY, "SnapshotsPresent");
	ok(blob_delete(client, &old, NULL, &err));
	refused(blob_get_range(client, &old, 0, now, 512, NULL, &err), ERR_NOT_FOUND, NULL);
	ok(blob_delete(client, &r, NULL, &err));
}

static void listing(void **state)
{
	struct blob_list list;
	unsigned i, n = 23;
	char name[32], time[BLOB_TIME_MAX];
	const char *before = "";

	for (i = 0; i < n; i++) {
		struct blob_ref r = ref(name);

		snprintf(name, sizeof(name), "list/%02u ü", (i * 7) % n);
		ok(blob_create_page(client, &r, 512 * i, NULL, true, NULL, &err));
		if (i % 10 == 0)
			ok(blob_snapshot(client, &r, "t", "1", time, &err));
	}
	blob_list_page = 4;
	ok(blob_list(client, container, "list/", BLOB_LIST_SNAPSHOTS, &list, &err));
	blob_list_page = 0;
	assert_int_equal(list.count, n + 3);
	for (i = 0; i < list.count; i++) {
		const struct blob_item *item = &list.items[i];

		assert_true(strcmp(before, item->name) <= 0);
		if (item->snapshot) {
			assert_string_equal(list.items[i + 1].name, item->name);
			assert_null(list.items[i + 1].snapshot);
		}
		assert_int_equal(item->props.type, BLOB_TYPE_PAGE);
		before = item->name;
	}
	blob_list_free(&list);
	ok(blob_list(client, container, "list/", 0, &list, &err));
	assert_int_equal(list.count, n);
	blob_list_free(&list);
	ok(blob_list(client, container, "no such/", 0, &list, &err));
	assert_int_equal(list.count, 0);
	blob_list_free(&list);
}

static void blocks(void **state)
{
	static unsigned char data[3 * 100000], back[sizeof(data)];
	const char *const ids[] = { "block-0", "block-1", "block-2" };
	struct blob_ref r = ref("blocks/a+b %.zip");
	struct blob_meta_list meta = { 0 };
	struct waited w[3] = { WAITED_INIT, WAITED_INIT, WAITED_INIT }, damaged = WAITED_INIT;
	struct sum sum = { .w = WAITED_INIT };
	char md5[3][MD5_TEXT_MAX], whole[MD5_TEXT_MAX];
	struct blob_props props;
	size_t i;

	fill(data, sizeof(data), 9);
	for (i = 0; i < 3; i++)
		ok(md5_of(data + i * 100000, 100000, md5[i], &err));
	ok(md5_of(data, sizeof(data), whole, &err));
	for (i = 0; i < 3; i++)
		blob_put_block_start(client, &r, ids[i],
				     &(struct iovec){ data + i * 100000, 100000 }, 1, md5[i], NULL,
				     remember, &w[i]);
	for (i = 0; i < 3; i++) {
		waited_wait(&w[i]);
		err = w[i].err;
		ok(err.code);
	}
	blob_meta_set(&meta, "relativepath", "x/y");
	ok(blob_put_block_list(client, &r, ids, 3, &meta, "application/zip", whole, NULL, &err));
	ok(blob_get_props(client, &r, &props, &err));
	assert_int_equal(props.type, BLOB_TYPE_BLOCK);
	assert_int_equal(props.size, sizeof(data));
	assert_string_equal(blob_meta_get(&props.meta, "relativepath"), "x/y");
	assert_string_equal(props.content_md5, whole);
	blob_props_free(&props);
	blob_get_range_sum_start(client, &r, 1000, &(struct iovec){ back, 5000 }, 1, NULL,
				 remember_md5, &sum);
	waited_wait(&sum.w);
	ok(sum.w.err.code);
	ok(md5_of(data + 1000, 5000, whole, &err));
	assert_string_equal(sum.md5, whole);
	blob_put_block_start(client, &r, ids[0], &(struct iovec){ data, 99999 }, 1, md5[0], NULL,
			     remember, &damaged);
	waited_wait(&damaged);
	assert_true(blob_is_damaged(&damaged.err));
	ok(blob_get_range(client, &r, 0, back, sizeof(back), NULL, &err));
	assert_memory_equal(data, back, sizeof(back));
	refused(blob_put_block_list(client, &r, (const char *const[]){ "nothing" }, 1, NULL, NULL,
				    NULL, NULL, &err), ERR_USAGE, "InvalidBlockList");
	refused(put_pages(&r, 0, data, 512, NULL), ERR_UNSUPPORTED, "InvalidBlobType");
	blob_meta_free(&meta);
}

static void copying(void **state)
{
	struct blob_ref r = ref("copy/from ü.vhd"), to = ref("copy/to%.vhd"), old = r;
	char time[BLOB_TIME_MAX], data[512], now[512], id[BLOB_LEASE_ID_MAX];
	struct blob_meta_list meta = { 0 };
	struct blob_props props;

	blob_new_guid(id);
	blob_meta_set(&meta, "description", "d");
	ok(blob_create_page(client, &r, 4096, &meta, true, NULL, &err));
	memset(data, 'a', sizeof(data));
	ok(put_pages(&r, 512, data, 512, NULL));
	ok(blob_copy(client, &r, &to, NULL, NULL, 30000, &err)); /* to where nothing is */
	ok(blob_get_props(client, &to, &props, &err));
	assert_int_equal(props.type, BLOB_TYPE_PAGE);
	assert_int_equal(props.size, 4096);
	assert_string_equal(blob_meta_get(&props.meta, "description"), "d");
	blob_props_free(&props);
	ok(blob_get_range(client, &to, 512, now, 512, NULL, &err));
	assert_memory_equal(data, now, 512);
	/* over a leased one, with other metadata */
	ok(blob_lease_acquire(client, &to, id, 15, 0, &err));
	refused(blob_copy(client, &r, &to, NULL, NULL, 30000, &err), ERR_LEASE_LOST, NULL);
	blob_meta_set(&meta, "description", "other");
	ok(blob_copy(client, &r, &to, &meta, id, 30000, &err));
	ok(blob_get_props(client, &to, &props, &err));
	assert_string_equal(blob_meta_get(&props.meta, "description"), "other");
	blob_props_free(&props);
	ok(blob_lease_release(client, &to, id, 0, &err));
	/* a snapshot over its base */
	ok(blob_snapshot(client, &r, "t", "1", time, &err));
	old.snapshot = time;
	memset(data, 'b', sizeof(data));
	ok(put_pages(&r, 512, data, 512, NULL));
	ok(blob_copy(client, &old, &r, NULL, NULL, 30000, &err));
	ok(blob_get_range(client, &r, 512, now, 512, NULL, &err));
	assert_int_equal(now[0], 'a');
	old = ref("copy/nothing");
	refused(blob_copy(client, &old, &to, NULL, NULL, 30000, &err), ERR_NOT_FOUND, NULL);
	blob_meta_free(&meta);
}

static struct blob_client *client_with(struct blob_account account)
{
	struct blob_client *c;

	account.name = (char[]){ "devstoreaccount1" };
	account.endpoint = (char *)(uintptr_t)endpoint;
	account.source = (char[]){ "--key" };
	c = blob_client_new(&account, &(struct blob_client_options){ .deadline_ms = 30000 }, &err);
	assert_non_null(c);
	return c;
}

static void wrong_key(void **state)
{
	struct blob_client *c = client_with((struct blob_account){
		.kind = ACCOUNT_SHARED_KEY, .key = (char[]){ "d3Jvbmc=" } });
	struct blob_ref r = ref("plain.vhd");
	struct blob_props props;

	refused(blob_get_props(c, &r, &props, &err), ERR_AUTH, NULL);
	assert_non_null(strstr(err.msg, "plain.vhd: the service refuses the key of account "
			       "devstoreaccount1 ("));
	assert_non_null(strstr(err.msg, "; check --key"));
	assert_null(strstr(err.msg, "d3Jvbmc="));
	blob_client_free(c);
}

static void anonymous(void **state)
{
	struct blob_client *c = client_with((struct blob_account){ .kind = ACCOUNT_ANONYMOUS });
	struct blob_ref r = ref("plain.vhd");
	struct blob_props props;

	/* Azurite hides what is private behind a 404. */
	assert_int_equal(blob_get_props(c, &r, &props, &err), -1);
	assert_true(err.code == ERR_AUTH || err.code == ERR_NOT_FOUND);
	blob_client_free(c);
}

/* An account SAS, signed as the service's documentation says. */
static void sas(void **state)
{
	static const char text[] = "devstoreaccount1\nrl\nb\nsco\n\n2099-01-01T00:00:00Z\n\n"
				   "https,http\n2021-12-02\n\n";
	unsigned char key[64], mac[32];
	cleanup_buf struct buf signature = BUF_INIT(64), token = BUF_INIT(512);
	struct blob_ref r = ref("dir/sub/a b.vhd");
	struct blob_props props;
	struct blob_client *c;

	assert_int_equal(EVP_DecodeBlock(key, (const unsigned char *)KEY, 84), 63);
	assert_int_equal(EVP_DecodeBlock(mac, (const unsigned char *)"Gw==", 4), 3);
	key[63] = mac[0];
	HMAC(EVP_sha256(), key, sizeof(key), (const unsigned char *)text, strlen(text), mac, NULL);
	sign_base64(&signature, mac, sizeof(mac));
	buf_addstr(&token, "sv=2021-12-02&ss=b&srt=sco&sp=rl&se=2099-01-01T00%3A00%3A00Z"
		   "&spr=https,http&sig=");
	url_add_encoded(&token, buf_str(&signature));
	c = client_with((struct blob_account){ .kind = ACCOUNT_SAS, .sas = token.data });
	ok(blob_get_props(c, &r, &props, &err));
	blob_props_free(&props);
	refused(blob_delete(c, &r, NULL, &err), ERR_AUTH, NULL);
	assert_non_null(strstr(err.msg, "the service refuses the SAS token of account"));
	blob_client_free(c);
}

static int setup(void **state)
{
	client = client_with((struct blob_account){ .kind = ACCOUNT_SHARED_KEY, .key = (char[]){ KEY } });
	snprintf(container, sizeof(container), "ops-%ld", (long)getpid());
	if (blob_container_create(client, container, &err) < 0) {
		print_error("%s\n", err.msg);
		return -1;
	}
	return 0;
}

static int teardown(void **state)
{
	int rc = blob_container_delete(client, container, &err);

	blob_client_free(client);
	return rc;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(containers),
		cmocka_unit_test(pages),
		cmocka_unit_test(missing),
		cmocka_unit_test(what_cannot_be),
		cmocka_unit_test(beyond_the_end),
		cmocka_unit_test(metadata_and_etags),
		cmocka_unit_test(page_ranges),
		cmocka_unit_test(leases),
		cmocka_unit_test(snapshots),
		cmocka_unit_test(listing),
		cmocka_unit_test(blocks),
		cmocka_unit_test(copying),
		cmocka_unit_test(wrong_key),
		cmocka_unit_test(anonymous),
		cmocka_unit_test(sas),
	};

	endpoint = getenv("HPCPACK_TEST_ENDPOINT");
	if (!endpoint) {
		puts("1..0 # SKIP HPCPACK_TEST_ENDPOINT names no storage service");
		return 0;
	}
	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, setup, teardown);
}

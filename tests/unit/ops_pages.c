#include <config.h>

#include "tests/unit/ops_rig.h"

void pages(void **state)
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

void what_cannot_be(void **state)
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

void beyond_the_end(void **state)
{
	struct blob_ref r = ref("plain.vhd"); /* 2 MiB */
	char data[1024];

	ok(blob_get_range(client, &r, (2 << 20) - 1024, data, 1024, NULL, &err));
	refused(blob_get_range(client, &r, (2 << 20) - 512, data, 1024, NULL, &err), ERR_RANGE, NULL);
	assert_non_null(strstr(err.msg, "outside the blob"));
	refused(blob_get_range(client, &r, 2 << 20, data, 512, NULL, &err), ERR_RANGE, NULL);
	refused(blob_get_range(client, &r, 3 << 20, data, 512, NULL, &err), ERR_RANGE, NULL);
}

void metadata_and_etags(void **state)
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

void expect_ranges(const struct blob_ref *r, uint64_t offset, uint64_t len,
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

void page_ranges(void **state)
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

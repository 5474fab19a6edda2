#include <config.h>

#include "tests/unit/ops_rig.h"

extern unsigned blob_list_page; /* blob/ops_list.c */

void leases(void **state)
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

void snapshots(void **state)
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

void listing(void **state)
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

void blocks(void **state)
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

void copying(void **state)
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

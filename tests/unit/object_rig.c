#include <config.h>

#include "tests/unit/object_rig.h"

#include <inttypes.h>
#include <stdlib.h>

#include "tests/unit/unit.h"

struct range_server server;
struct blob_client *client;
struct objects *objects;

void rig_begin(const struct objects_options *o, unsigned deadline_ms)
{
	struct blob_client_options options = { .connections = 16, .deadline_ms = deadline_ms };
	struct err err;

	range_server_start(&server);
	client = range_client(&server, &options);
	objects = objects_new(client, o, &err);
	if (!objects)
		fail_msg("%s", err.msg);
}

void rig_end(void)
{
	objects_free(objects);
	blob_client_free(client);
	range_server_stop(&server);
}

struct object *rig_open(const struct range_blob *b, uint32_t version)
{
	struct blob_ref ref = { .container = "c", .blob = b->name };
	struct object *o;
	char etag[32];

	range_etag(version, etag, sizeof(etag));
	o = object_open(objects, &ref, etag, b->size);
	assert_non_null(o);
	return o;
}

uint64_t rig_compare(const uint8_t *data, uint32_t version, uint64_t offset, uint64_t len)
{
	uint64_t i = 0;

	while (i < len && data[i] == range_byte(version, offset + i))
		i++;
	return i;
}

static void is_content(const uint8_t *data, uint32_t version, uint64_t offset, uint64_t len)
{
	uint64_t right = rig_compare(data, version, offset, len);

	if (right < len)
		fail_msg("byte %" PRIu64 " is wrong", offset + right);
}

enum err_code rig_read(struct object *o, uint32_t version, uint64_t offset, uint32_t len)
{
	uint8_t *data = malloc((size_t)len + 1);
	struct err err = { .code = ERR_NONE };

	data[len] = 0x5a;
	if (object_read_wait(o, offset, data, len, &err) == 0)
		is_content(data, version, offset, len);
	assert_int_equal(data[len], 0x5a);
	free(data);
	return err.code;
}

void rig_reads(struct object *o, uint32_t version, uint64_t offset, uint32_t len)
{
	assert_int_equal(rig_read(o, version, offset, len), ERR_NONE);
}

struct reading *rig_start(struct object *o, uint64_t offset, uint32_t len)
{
	struct reading *r = malloc(sizeof(*r));

	reading_init(r, false);
	object_read(o, offset, len, reading_done, r);
	return r;
}

enum err_code rig_finish(struct reading *r, uint64_t offset, uint32_t len)
{
	enum err_code code = reading_wait(r);

	if (code == ERR_NONE) {
		assert_int_equal(r->len, len);
		is_content(r->data, 1, offset, len);
	}
	reading_free(r);
	free(r);
	return code;
}

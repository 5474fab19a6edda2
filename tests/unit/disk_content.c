#include <config.h>

#include "tests/unit/disk_content.h"

#include "tests/unit/unit.h"

unsigned char byte_at(uint64_t offset)
{
	return (unsigned char)(1 + (offset * 2654435761u >> 13) % 255);
}

void fill_range(struct rig *r, uint64_t offset, uint64_t len)
{
	unsigned char page[4096];
	uint64_t pos, i;

	for (pos = offset; pos < offset + len; pos += sizeof(page)) {
		for (i = 0; i < sizeof(page); i++)
			page[i] = byte_at(pos + i);
		model_blob_put(model_blob(r->m), pos, sizeof(page), page, NULL, NULL, NULL);
	}
}

void fill_all(struct rig *r)
{
	fill_range(r, 0, r->size);
}

void fill_half(struct rig *r)
{
	fill_range(r, 0, r->size / 2);
}

void assert_content(const unsigned char *got, uint64_t offset, uint64_t len)
{
	uint64_t i;

	for (i = 0; i < len; i++)
		if (got[i] != byte_at(offset + i))
			fail_msg("byte %llu is 0x%02x, not 0x%02x", (unsigned long long)(offset + i), got[i],
				 byte_at(offset + i));
}

void assert_all(const unsigned char *got, uint64_t len, unsigned char c)
{
	uint64_t i;

	for (i = 0; i < len; i++)
		if (got[i] != c)
			fail_msg("byte %llu is 0x%02x, not 0x%02x", (unsigned long long)i, got[i], c);
}

void open_filled(struct rig *r, void (*fill)(struct rig *r))
{
	struct rig_options o = { .disk = { .size = SIZE, .cache_bytes = 4 * MIB }, .fill = fill };

	rig_open(r, &o);
}

void read_ok(struct rig *r, uint64_t offset, uint32_t len, void *into)
{
	struct err err;

	if (rig_read(r, offset, len, into, &err) < 0)
		fail_msg("read: %s", err.msg);
}

void write_ok(struct rig *r, uint64_t offset, uint32_t len, const void *data)
{
	struct err err;

	if (rig_write(r, offset, len, data, &err) < 0)
		fail_msg("write: %s", err.msg);
}

bool clean(void *arg)
{
	struct rig *r = arg;
	struct disk_stats s;

	disk_stats(r->d, &s);
	return s.dirty_bytes == 0;
}

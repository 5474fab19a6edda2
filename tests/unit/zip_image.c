/* zip_image.c - zips for tests. */
#include <config.h>

#include "unit.h"

#include <stdlib.h>
#include <string.h>
#include <zlib.h>

#include "zip_image.h"

static void grow(uint8_t **data, size_t *size, size_t need)
{
	if (need <= *size)
		return;
	*size = need * 2;
	*data = realloc(*data, *size);
	assert_non_null(*data);
}

void zip_raw(struct zip_image *z, const void *data, size_t len)
{
	grow(&z->data, &z->size, z->len + len);
	if (len)
		memcpy(z->data + z->len, data, len);
	z->len += len;
}

void zip_begin(struct zip_image *z)
{
	z->base = z->len;
}

static void directory(struct zip_image *z, const void *data, size_t len)
{
	grow(&z->directory, &z->directory_size, z->directory_len + len);
	if (len)
		memcpy(z->directory + z->directory_len, data, len);
	z->directory_len += len;
}

/* A record under construction. */
struct record {
	uint8_t data[256];
	size_t len;
};

static void num(struct record *r, uint64_t n, unsigned bytes)
{
	while (bytes--) {
		r->data[r->len++] = (uint8_t)n;
		n >>= 8;
	}
}

static uint64_t truth(const struct zip_lie *lie, uint64_t n)
{
	return lie->lies ? lie->claims : n;
}

static uint8_t *pack(const struct zip_spec *s, size_t len, size_t *packed)
{
	uint8_t *out = malloc(len + len / 10 + 100);
	z_stream zs = { 0 };

	assert_non_null(out);
	*packed = len;
	if (s->method != 8) {
		if (len)
			memcpy(out, s->data, len);
		return out;
	}
	assert_int_equal(deflateInit2(&zs, 9, Z_DEFLATED, -15, 9, Z_DEFAULT_STRATEGY), Z_OK);
	zs.next_in = (uint8_t *)(uintptr_t)s->data;
	zs.avail_in = (unsigned)len;
	zs.next_out = out;
	zs.avail_out = (unsigned)(len + len / 10 + 100);
	assert_int_equal(deflate(&zs, Z_FINISH), Z_STREAM_END);
	*packed = zs.total_out;
	deflateEnd(&zs);
	return out;
}

static void add_local(struct zip_image *z, const struct zip_spec *s, size_t name_len, uint32_t crc,
		      uint64_t packed, uint64_t size)
{
	bool later = s->flags & 8;
	struct record r = { .len = 0 };

	num(&r, 0x04034b50, 4);
	num(&r, 20, 2);
	num(&r, s->flags, 2);
	num(&r, truth(&s->local_method, s->method), 2);
	num(&r, s->dos_time, 2);
	num(&r, s->dos_date, 2);
	num(&r, truth(&s->local_crc, later ? 0 : crc), 4);
	num(&r, later ? 0 : packed, 4);
	num(&r, truth(&s->local_size, later ? 0 : size), 4);
	num(&r, name_len, 2);
	num(&r, s->local_extra_len, 2);
	zip_raw(z, r.data, r.len);
	zip_raw(z, s->name, name_len);
	zip_raw(z, s->local_extra, s->local_extra_len);
}

static void add_central(struct zip_image *z, const struct zip_spec *s, size_t name_len, uint32_t crc,
			uint64_t packed, uint64_t size, uint64_t offset)
{
	struct record r = { .len = 0 }, wide = { .len = 0 };
	uint64_t claims[] = { truth(&s->size, size), truth(&s->packed, packed), truth(&s->offset, offset) };

	if (s->zip64) {
		num(&wide, 1, 2);
		num(&wide, 24, 2);
		for (size_t i = 0; i < 3; i++)
			num(&wide, claims[i], 8);
	}
	num(&r, 0x02014b50, 4);
	num(&r, 20, 1);
	num(&r, s->host, 1);
	num(&r, 20, 2);
	num(&r, s->flags, 2);
	num(&r, s->method, 2);
	num(&r, s->dos_time, 2);
	num(&r, s->dos_date, 2);
	num(&r, truth(&s->crc, crc), 4);
	num(&r, s->zip64 ? 0xffffffff : claims[1], 4);
	num(&r, s->zip64 ? 0xffffffff : claims[0], 4);
	num(&r, name_len, 2);
	num(&r, s->extra_len + wide.len, 2);
	num(&r, 0, 2);
	num(&r, 0, 2);
	num(&r, 0, 2);
	num(&r, s->attributes, 4);
	num(&r, s->zip64 ? 0xffffffff : claims[2], 4);
	directory(z, r.data, r.len);
	directory(z, s->name, name_len);
	directory(z, wide.data, wide.len);
	directory(z, s->extra, s->extra_len);
}

void zip_add(struct zip_image *z, const struct zip_spec *s)
{
	size_t name_len = s->name_len ? s->name_len : strlen(s->name);
	size_t len = s->len ? s->len : s->data ? strlen(s->data) : 0, packed;
	uint32_t crc = (uint32_t)crc32(0, s->data, (unsigned)len);
	uint64_t offset = z->len - z->base;
	uint8_t *data = pack(s, len, &packed);

	add_local(z, s, name_len, crc, packed, len);
	zip_raw(z, data, packed);
	free(data);
	if (s->flags & 8) {
		struct record r = { .len = 0 };

		num(&r, 0x08074b50, 4);
		num(&r, crc, 4);
		num(&r, packed, 4);
		num(&r, len, 4);
		zip_raw(z, r.data, r.len);
	}
	add_central(z, s, name_len, crc, packed, len, offset);
	z->count++;
}

void zip_file(struct zip_image *z, const char *name, const char *text)
{
	zip_add(z, &(struct zip_spec){ .name = name, .data = text });
}

static void add_zip64(struct zip_image *z, uint64_t count, uint64_t size, uint64_t offset)
{
	uint64_t here = z->len - z->base;
	struct record r = { .len = 0 };

	num(&r, 0x06064b50, 4);
	num(&r, 44, 8);
	num(&r, 45, 2);
	num(&r, 45, 2);
	num(&r, 0, 8);
	num(&r, count, 8);
	num(&r, count, 8);
	num(&r, size, 8);
	num(&r, offset, 8);
	num(&r, 0x07064b50, 4);
	num(&r, 0, 4);
	num(&r, here, 8);
	num(&r, 1, 4);
	zip_raw(z, r.data, r.len);
}

void zip_end(struct zip_image *z, const struct zip_ending *ending)
{
	static const struct zip_ending none;
	const struct zip_ending *e = ending ? ending : &none;
	uint64_t count = truth(&e->count, z->count);
	uint64_t size = truth(&e->directory_size, z->directory_len);
	uint64_t offset = truth(&e->directory_offset, z->len - z->base);
	struct record r = { .len = 0 };

	zip_raw(z, z->directory, z->directory_len);
	for (size_t i = 0; i < e->gap; i++)
		zip_raw(z, "#", 1);
	if (e->zip64)
		add_zip64(z, count, size, offset);
	num(&r, 0x06054b50, 4);
	num(&r, truth(&e->disk, 0), 2);
	num(&r, 0, 2);
	num(&r, e->zip64 ? 0xffff : count, 2);
	num(&r, e->zip64 ? 0xffff : count, 2);
	num(&r, e->zip64 ? 0xffffffff : size, 4);
	num(&r, e->zip64 ? 0xffffffff : offset, 4);
	num(&r, e->comment ? strlen(e->comment) : 0, 2);
	zip_raw(z, r.data, r.len);
	zip_raw(z, e->comment, e->comment ? strlen(e->comment) : 0);
}

void zip_free(struct zip_image *z)
{
	free(z->data);
	free(z->directory);
	memset(z, 0, sizeof(*z));
}
